// A table of bad environments: exit code 1, no listener, everything named, no secret printed
import assert from 'node:assert/strict';
import path from 'node:path';
import { runApp } from '../app.ts';
import { buildApp } from '../build.ts';
import { findPort, type RunningProcess } from '../processes.ts';
import type { Tally } from '../tally.ts';
import { type BadEnvironment, environments } from './environments.ts';

const NODE_FLAGS = ['--import', path.join(import.meta.dirname, 'watch-listen.ts')];

/** The message of watch-listen.ts. */
const LISTENING = 'A server listens';

/** pino's level of the last line before an exit. */
const FATAL = 60;

export async function prove(tally: Tally): Promise<void> {
  buildApp();
  const good = { PORT: String(await findPort()), HOST: '127.0.0.1', DATABASE_URL: 'pglite:memory' };
  await tally.check('A good environment makes the app listen, and the check detects it', () =>
    proveListening(good),
  );
  for (const row of environments)
    await tally.check(describe(row.environment), () => proveRefusal(good, row));
}

/** A check that detects nothing would let all others pass. */
async function proveListening(environment: Record<string, string>): Promise<void> {
  await using app = runApp('web', { ...environment, SHUTDOWN_DELAY_MS: '0' }, NODE_FLAGS);
  await app.waitForLine(LISTENING);
  app.signal('SIGTERM');
  assert.deepEqual(await app.ended, { code: 0, signal: null });
}

/** @returns the printed message */
async function proveRefusal(good: Record<string, string>, row: BadEnvironment): Promise<string> {
  await using app = runApp('web', overrule(good, row.environment), NODE_FLAGS);
  const line = await readOnlyLine(app);
  const { level, msg } = JSON.parse(line) as { level: number; msg: string };
  assert.equal(level, FATAL, `the level of the line is ${level}`);
  assert.deepEqual(
    findNamed(msg).sort(),
    [...row.named].sort(),
    `other variables are named:\n${msg}`,
  );
  for (const text of row.printed ?? [])
    assert(msg.includes(text), `"${text}" is not printed:\n${msg}`);
  for (const secret of row.secrets ?? [])
    assert(!line.includes(secret), `"${secret}" is printed:\n${line}`);
  return msg.replace(/^.*\n/, '\n');
}

/** Ends the app if it serves. It is expected to end by itself. */
async function readOnlyLine(app: RunningProcess): Promise<string> {
  await Promise.race([app.ended, app.waitForLine(LISTENING).catch(() => undefined)]);
  assert(!app.lines.includes(LISTENING), 'the app accepts the environment and listens');
  const { code } = await app.ended;
  assert.equal(code, 1, `the exit code is ${code}`);
  assert.equal(app.lines.length, 1, `expected one line, got:\n${app.lines.join('\n')}`);
  return app.lines[0]!;
}

function overrule(
  good: Record<string, string>,
  row: BadEnvironment['environment'],
): Record<string, string> {
  const entries = Object.entries({ ...good, ...row }).filter(([, value]) => value !== undefined);
  return Object.fromEntries(entries) as Record<string, string>;
}

/** Each problem is one line that begins with its variable. */
function findNamed(message: string): string[] {
  return [...message.matchAll(/^ {2}([A-Z0-9_]+) is /gm)].map(([, name]) => name!);
}

function describe(environment: BadEnvironment['environment']): string {
  return Object.entries(environment)
    .map(([name, value]) =>
      value === undefined ? `no ${name}` : `${name}=${JSON.stringify(value)}`,
    )
    .join(' ');
}
