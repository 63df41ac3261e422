import assert from 'node:assert/strict';
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { openSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { buildApp } from '../build.ts';
import { findPort, makeFolder } from '../processes.ts';
import type { Tally } from '../tally.ts';

/** Each request logs a line of 2 KB. Together they exceed the buffer. */
const REQUESTS = 3_000;
const PATH = `/${'x'.repeat(1_500)}`;

/** The time after SIGTERM at which a stop counts as hanging, in milliseconds. */
const STOP_MS = 60_000;

/** Stops reading the log, and fills its disk. */
export async function proveLog(tally: Tally): Promise<void> {
  for (const workers of ['1', '2'])
    await tally.check(`The app serves while nobody reads its log, WEB_CONCURRENCY=${workers}`, () =>
      proveUnreadLog(workers),
    );
  const isRoot = process.getuid?.() === 0;
  if (isRoot) await tally.check('The app serves while its log is on a full disk', fillDisk);
  else console.log('skipped A log on a full disk: only root mounts a tmpfs');
}

async function proveUnreadLog(workers: string): Promise<string> {
  const port = await findPort();
  const app = start(port, 'pipe', workers);
  await waitUntilServed(port);
  for (let count = 0; count < REQUESTS; count += 50) await askMany(port);
  return `${REQUESTS} requests were answered, ${await stop(app)}`;
}

async function fillDisk(): Promise<string> {
  const folder = await makeFolder('full');
  spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=256k', 'tmpfs', folder]);
  try {
    const filler = path.join(folder, 'filler');
    const port = await findPort();
    const log = openSync(path.join(folder, 'log'), 'a');
    const app = start(port, log, '1');
    await waitUntilServed(port);
    for (let size = 256 * 1024; size >= 1; size = Math.floor(size / 2)) fill(filler, size);
    await askMany(port);
    return `requests were answered, ${await stop(app)}`;
  } finally {
    spawnSync('umount', ['-l', folder]);
  }
}

/** Fills the rest of the disk. */
function fill(file: string, size: number): void {
  try {
    writeFileSync(file, 'x'.repeat(size), { flag: 'a' });
  } catch {
    // The disk has less space than that.
  }
}

function start(port: number, stdout: 'pipe' | number, workers: string): ChildProcess {
  const app = spawn(process.execPath, ['dist/src/web.js'], {
    cwd: buildApp(),
    stdio: ['ignore', stdout, 'ignore'],
    env: {
      PORT: `${port}`,
      HOST: '127.0.0.1',
      DATABASE_URL: 'postgres://nobody@127.0.0.1:1/none',
      RATE_LIMIT_MAX: '0',
      SHUTDOWN_DELAY_MS: '0',
      WEB_CONCURRENCY: workers,
    },
  });
  process.once('exit', () => app.kill('SIGKILL'));
  return app;
}

async function waitUntilServed(port: number): Promise<void> {
  const ask = () => fetch(`http://127.0.0.1:${port}/health/live`).catch(() => undefined);
  while (!(await ask())?.ok) await sleep(50);
}

async function askMany(port: number): Promise<void> {
  const ask = async () => {
    const answer = await fetch(`http://127.0.0.1:${port}${PATH}`);
    await answer.arrayBuffer();
    // A busy machine refuses some of so many concurrent requests.
    assert.ok([404, 414, 503].includes(answer.status), `${answer.status}`);
  };
  await Promise.all(Array.from({ length: 50 }, ask));
}

async function stop(app: ChildProcess): Promise<string> {
  const startedAt = performance.now();
  const exited = once(app, 'exit', { signal: AbortSignal.timeout(STOP_MS) });
  app.kill('SIGTERM');
  const [code] = await exited;
  const ms = Math.round(performance.now() - startedAt);
  assert.equal(code, 0);
  return `exit 0 within ${ms} ms`;
}
