import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { startRouter } from '../routing/router.ts';
import type { Tally } from '../tally.ts';
import { connect, get, getOver, open, readAnswer } from './client.ts';
import type { StartFixture } from './index.ts';

/**
 * Heroku's Router 2.0 keeps idle connections for 90 s, longer than the other routers except Caddy.
 */
const IDLE_MS = 95_000;

/** Reuses connections that were idle for longer than routers keep them. */
export async function proveReuse(tally: Tally, start: StartFixture): Promise<void> {
  await Promise.all([
    tally.check(`contract 16: A connection can be reused after ${IDLE_MS / 1_000} s`, () =>
      proveDirectReuse(start),
    ),
    tally.check(`Caddy reuses a connection after ${IDLE_MS / 1_000} s, for a POST`, () =>
      proveRouterReuse(start),
    ),
  ]);
}

async function proveDirectReuse(start: StartFixture): Promise<void> {
  await using fixture = await start();
  const connection = await connect(fixture.port);
  const before = readBody(await getOver(connection, '/connection'));
  await sleep(IDLE_MS);
  assert.equal(readBody(await getOver(connection, '/connection')), before);
  connection.destroy();
}

/** Caddy gets one server and no health checks, which would use the connection. */
async function proveRouterReuse(start: StartFixture): Promise<void> {
  await using fixture = await start();
  const change = (text: string) =>
    text.replaceAll(/^\s*health_.*$/gm, '').replace(/ 127\.0\.0\.1:1 \{/, ' {');
  await using router = await startRouter('caddy', {
    apps: [fixture.port, 1],
    healthIntervalMs: 1_000,
    change,
  });
  const url = `http://127.0.0.1:${router.port}/connection`;
  const before = await get(url);
  await sleep(IDLE_MS);
  const after = await readAnswer(open(url, { method: 'POST' }).end());
  assert.deepEqual([after.status, after.body], [200, before.body]);
}

function readBody(answer: string): string {
  return answer.slice(answer.indexOf('\r\n\r\n'));
}
