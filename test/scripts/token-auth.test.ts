import { spawnSync } from 'node:child_process';
import { statSync } from 'node:fs';
import path from 'node:path';
import { decodeJwt } from 'jose';
import { test } from 'tap';
import { createToken, fetchKeys } from '../../scripts/token.ts';
import {
  buildTestApp,
  createFolder,
  DOWN,
  type Environment,
  poll,
  REQUIRED,
  ROOT,
  writeFiles,
} from '../helper.ts';

function print(environment: Environment, ...args: string[]) {
  const file = path.join(ROOT, 'scripts/token.ts');
  const env = { ...REQUIRED, ...environment };
  return spawnSync(process.execPath, [file, ...args], { env, encoding: 'utf8' });
}

test('npm run token prints a token of the local issuer that lasts an hour', async (t) => {
  const folder = path.join(await createFolder(t), 'issuer');
  const environment = { AUTH_ISSUER_URL: `local:${folder}`, AUTH_AUDIENCE: 'poort' };
  const { stdout } = print(environment, 'alice', 'notes:read', 'notes:write');
  t.match(stdout, /^[\w-]+\.[\w-]+\.[\w-]+\n$/);
  const { iat = 0, exp } = decodeJwt(stdout);
  t.equal(exp, iat + 3_600);
  t.equal(statSync(path.join(folder, 'key.json')).mode & 0o777, 0o600);
  const app = await buildTestApp(t, { DATABASE_URL: DOWN, ...environment });
  const ask = async (token: string) => {
    const headers = { authorization: `Bearer ${token.trim()}` };
    return (await app.inject({ url: '/me', headers })).json();
  };
  t.strictSame(await ask(stdout), { id: 'alice', scopes: ['notes:read', 'notes:write'] });
  const short = await createToken([], { ...REQUIRED, ...environment });
  t.match(await ask(short), { id: 'developer', scopes: [] });
  await poll(async () => (await app.readiness.report()).services.auth?.status === 'up');
});

test("The local issuer's key is created once, and not published", async (t) => {
  const url = `local:${await createFolder(t)}`;
  const sets = await Promise.all(Array.from({ length: 5 }, () => fetchKeys(url)));
  for (const { keys } of sets) {
    t.strictSame(keys, sets[0]?.keys);
    t.notOk(keys[0]?.d);
  }
});

test('A file that is no key is named, without its text', async (t) => {
  const folder = await createFolder(t);
  const environment = { ...REQUIRED, AUTH_ISSUER_URL: `local:${folder}`, AUTH_AUDIENCE: 'poort' };
  await writeFiles(folder, { 'key.json': '{"d":"hunter2' });
  const error = await createToken([], environment).catch((error) => error);
  t.match(error.message, /key\.json is no key; delete it/);
  t.notMatch(error.message, 'hunter2');
});

test('npm run token with an empty SUB is refused', async (t) => {
  await t.rejects(createToken([''], REQUIRED), /^SUB is empty/);
});

test('npm run token with another issuer says what to set', async (t) => {
  const { status, stdout } = print({});
  t.equal(status, 1);
  const message = /npm run token signs for local:FOLDER only/;
  t.match(stdout, message);
  const other = { AUTH_ISSUER_URL: 'https://issuer.example', AUTH_AUDIENCE: 'poort' };
  await t.rejects(createToken([], { ...REQUIRED, ...other }), message);
});
