import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { findPort, RunningProcess } from '../processes.ts';
import type { Tally } from '../tally.ts';

const READERS = 300;
/** More than the kernel buffers for a client that does not read, which is up to 4 MiB. */
const PAGE_BYTES = 8 * 1024 * 1024;
const MAX_RISE_MIB = 250;

/** The maximum time until the last blocked client is disconnected, in milliseconds. */
const GONE_MS = 60_000;

/** How much the slow client reads at a time, and its pause between reads in milliseconds. */
const READ_BYTES = 256 * 1024;
const REST_MS = 500;

/** Requests large pages without reading them, beside a slow but steady client. */
export async function proveReaders(tally: Tally): Promise<void> {
  await tally.check(
    `The app serves while ${READERS} clients request 8 MB each and stop reading`,
    proveStoppedReaders,
  );
}

async function proveStoppedReaders(): Promise<string> {
  const port = await findPort();
  await using app = new RunningProcess(
    process.execPath,
    [path.join(import.meta.dirname, 'web.ts')],
    {
      environment: {
        PORT: `${port}`,
        HOST: '127.0.0.1',
        DATABASE_URL: 'postgres://nobody@127.0.0.1:1/none',
        RATE_LIMIT_MAX: '0',
        SHUTDOWN_DELAY_MS: '0',
      },
    },
  );
  await app.waitForLine('Server listening');
  const before = readMiB(app.pid);
  const slow = readSlowly(port);
  const startedAt = performance.now();
  const readers = await Promise.all(Array.from({ length: READERS }, () => ask(port)));
  let most = 0;
  let slowestMs = 0;
  while (readers.some(({ destroyed }) => !destroyed) && performance.now() - startedAt < GONE_MS) {
    const askedAt = performance.now();
    assert.equal((await fetch(`http://127.0.0.1:${port}/health/live`)).status, 200);
    slowestMs = Math.max(slowestMs, performance.now() - askedAt);
    most = Math.max(most, readMiB(app.pid) - before);
    await sleep(50);
  }
  const goneMs = performance.now() - startedAt;
  const left = readers.filter(({ destroyed }) => !destroyed).length;
  for (const reader of readers) reader.destroy();
  assert.equal(left, 0, `${left} are still connected after a minute`);
  assert.ok(most <= MAX_RISE_MIB, `The memory rose by ${most} MiB`);
  assert.ok((await slow) > PAGE_BYTES, 'The slow client did not get everything');
  const figures = `${most} MiB more at most, all gone after ${Math.round(goneMs / 1_000)} s`;
  return `${figures}, others served within ${Math.round(slowestMs)} ms, a slow reader got all`;
}

function readMiB(pid: number): number {
  const [, kib] = /VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))!;
  return Math.round(Number(kib) / 1024);
}

/** Writes to detect the disconnect: TCP does not report it to a client that does not read. */
async function ask(port: number): Promise<Socket> {
  const socket = connect(port, '127.0.0.1').on('error', () => socket.destroy());
  await once(socket, 'connect');
  socket.pause().write('GET /page HTTP/1.1\r\nHost: localhost\r\n\r\n');
  const knock = setInterval(() => socket.write('\r\n'), 1_000);
  socket.once('close', () => clearInterval(knock));
  return socket;
}

async function readSlowly(port: number): Promise<number> {
  const socket = connect(port, '127.0.0.1');
  socket.write('GET /page HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n');
  let read = 0;
  let sinceRest = 0;
  for await (const chunk of socket) {
    read += chunk.length;
    sinceRest += chunk.length;
    if (sinceRest < READ_BYTES) continue;
    sinceRest = 0;
    await sleep(REST_MS);
  }
  return read;
}
