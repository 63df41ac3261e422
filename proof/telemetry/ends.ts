import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { runApp, startApp } from '../app.ts';
import { PostgresServer } from '../postgres.ts';
import type { Tally } from '../tally.ts';
import { Receiver } from './receiver.ts';
import { attach, load, Scene } from './scene.ts';

/** The number of requests before the crash. */
const REQUESTS = 50;

/** The maximum time to end, in milliseconds: 2 s for the flush, the rest for a busy machine. */
const MAX_END_MS = 4_000;

const LISTENING = 'Server listening';

export async function proveEnds(tally: Tally): Promise<void> {
  await tally.check('SIGTERM under load: the spans of all answered requests arrive', proveDrain);
  await tally.check('A crash during a request: the spans of all other requests arrive', proveCrash);
  await tally.check('A release does not wait for a collector that never answers', proveRelease);
  await tally.check('Two workers are two instances, and both send their last spans', proveWorkers);
}

async function proveDrain(): Promise<string> {
  await using receiver = await Receiver.start();
  const environment = { ...attach(receiver), SHUTDOWN_DELAY_MS: '300' };
  await using app = await startApp({ environment });
  const answered = load(`${app.url}/`, 100_000);
  await sleep(1_000);
  app.process.signal('SIGTERM');
  const count = await answered;
  assert.equal((await app.process.ended).code, 0);
  const spans = receiver.spans.filter(({ name }) => name === 'GET /').length;
  assert(spans >= count, `${spans} spans of ${count} answered requests`);
  return `${spans} spans of ${count} answered requests`;
}

async function proveCrash(): Promise<string> {
  await using receiver = await Receiver.start();
  await using scene = await Scene.create();
  const web = await scene.startWeb(attach(receiver));
  const held = fetch(`${web.url}/proof-telemetry/held`).catch(() => undefined);
  await load(`${web.url}/`, REQUESTS);
  await fetch(`${web.url}/proof-telemetry/crash`, { method: 'POST' }).catch(() => undefined);
  assert.equal((await web.process.ended).code, 1);
  await held;
  const spans = receiver.spans.filter(({ name }) => name === 'GET /').length;
  assert.equal(spans, REQUESTS);
  assert(receiver.spans.some(({ name }) => name === 'POST /proof-telemetry/crash'));
  return `${spans} spans`;
}

async function proveWorkers(): Promise<string> {
  await using receiver = await Receiver.start();
  let answered = 0;
  {
    const environment = { ...attach(receiver), WEB_CONCURRENCY: '2' };
    await using app = await startApp({ postgres: true, environment });
    const first = app.process.lines.findIndex((line) => line.includes(LISTENING));
    await app.process.waitForLine(LISTENING, first + 1);
    answered = await load(`${app.url}/`, REQUESTS * 10);
  }
  const spans = receiver.spans.filter(({ name }) => name === 'GET /');
  assert.equal(spans.length, answered);
  const instances = new Set(receiver.spans.map(({ instance }) => instance));
  assert.equal(instances.size, 2, [...instances].join(', '));
  return [...instances]
    .map((id) => `${spans.filter(({ instance }) => instance === id).length} spans`)
    .join(' and ');
}

async function proveRelease(): Promise<string> {
  await using receiver = await Receiver.start();
  receiver.fault = () => undefined;
  await using postgres = await PostgresServer.create();
  const release = runApp('release', { ...attach(receiver), DATABASE_URL: postgres.url });
  await release.waitForLine('Applied');
  const startedAt = performance.now();
  assert.equal((await release.ended).code, 0);
  const durationMs = performance.now() - startedAt;
  assert(receiver.times.length > 0, 'the release sent nothing');
  assert(durationMs < MAX_END_MS, `it ended after ${durationMs.toFixed()} ms`);
  return `it ended after ${durationMs.toFixed()} ms`;
}
