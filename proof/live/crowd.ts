import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import net from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import type { PostgresServer } from '../postgres.ts';
import { type Program, startProgram } from '../routing/web.ts';
import type { EventClient } from './client.ts';
import { openClients, stopClients, stopProgram, waitForAll } from './scene.ts';

const CLIENTS = 1_000;

/** The maximum time to stop with all clients, in milliseconds: SHUTDOWN_TIMEOUT_MS. */
const STOP_MS = 25_000;

/** How many notes each client misses during a restart. */
const MISSED = 5;

/** The amount sent twice to a client that does not read, in MiB: far above socket buffers. */
const UNREAD_MIB = 150;

/** The maximum growth of memory meanwhile, in MiB: garbage that V8 has not collected yet. */
const RISE_MIB = 75;

const MIB = 2 ** 20;

/** @returns the memory of each client */
export async function proveCrowd(program: Program): Promise<string> {
  const running = await startProgram(program);
  const before = await readMemory(running.pid);
  const clients = await openClients(readUrl(program), CLIENTS);
  await sleep(1_000);
  const each = ((await readMemory(running.pid)) - before) / CLIENTS;
  const startedAt = performance.now();
  for (const client of clients) client.stopAfterThis();
  await stopProgram(running, program);
  const tookMs = performance.now() - startedAt;
  assert(tookMs < STOP_MS, `stopping took ${tookMs} ms`);
  return `${(each / 1024).toFixed(1)} KiB each, stopped in ${(tookMs / 1_000).toFixed(1)} s`;
}

/** After a restart, all clients come at once, and each has missed the same notes. */
export async function proveReturn(program: Program, postgres: PostgresServer): Promise<string> {
  const before = await startProgram(program);
  const clients = await openClients(readUrl(program), CLIENTS);
  await stopProgram(before, program);
  await postgres.query(
    `insert into notes select gen_random_uuid(), 'missed', '', now(), now()
     from generate_series(1, ${MISSED})`,
  );
  const running = await startProgram(program);
  const isComplete = ({ notes }: EventClient) => notes.length === MISSED;
  await waitForAll(clients, isComplete);
  const complete = clients.filter(isComplete).length;
  stopClients(clients);
  const errors = running.lines.filter((line) => line.includes('"level":50'));
  await stopProgram(running, program);
  assert.equal(complete, CLIENTS);
  assert.deepEqual(errors, []);
  return `${complete} clients got ${MISSED} notes each`;
}

/** @returns the growth of memory during the second half */
export async function proveStoppedReader(
  program: Program,
  postgres: PostgresServer,
): Promise<string> {
  const running = await startProgram(program);
  const socket = net.connect(Number(program.environment.PORT), '127.0.0.1').pause();
  socket.on('error', () => undefined);
  socket.write('GET /notes/events HTTP/1.1\r\nhost: localhost\r\n\r\n');
  await sleep(500);
  // The first half grows the heap to the size at which V8 collects garbage.
  await writeNotes(postgres);
  const before = await readMemory(running.pid);
  await writeNotes(postgres);
  const rise = ((await readMemory(running.pid)) - before) / MIB;
  void running.ended.then(() => socket.destroy());
  await stopProgram(running, program);
  assert(rise < RISE_MIB, `${rise.toFixed()} MiB`);
  return `${rise.toFixed()} MiB for ${UNREAD_MIB} MiB that were not read`;
}

async function writeNotes(postgres: PostgresServer): Promise<void> {
  for (let mebibyte = 0; mebibyte < UNREAD_MIB; mebibyte++)
    await postgres.query(
      `insert into notes select gen_random_uuid(), 'unread', repeat('x', 10000), now(), now()
       from generate_series(1, 105)`,
    );
  await sleep(1_000);
}

function readUrl({ environment: { PORT } }: Program): string {
  return `http://127.0.0.1:${PORT}/notes/events`;
}

/** Reads the resident memory of a process, in bytes. */
async function readMemory(pid: number): Promise<number> {
  const [, kibibytes] = /VmRSS:\s+(\d+)/.exec(await readFile(`/proc/${pid}/status`, 'utf8'))!;
  return Number(kibibytes) * 1_024;
}
