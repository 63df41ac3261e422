import assert from 'node:assert/strict';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { PostgresServer } from '../postgres.ts';
import { findPort, RunningProcess } from '../processes.ts';
import type { Program } from '../routing/web.ts';
import { EventClient } from './client.ts';
import { waitUntilClosed } from './sockets.ts';
import type { Writers } from './writer.ts';

const EXAMPLE = path.join(import.meta.dirname, '../../examples/live-notes');

/** The number of clients. */
export const CLIENTS = 100;

/** The time-out until all clients have all events, in milliseconds. */
const SETTLE_MS = 60_000;

/** Applies the example's migrations. */
export async function release(environment: Record<string, string>): Promise<void> {
  const running = new RunningProcess(process.execPath, ['release.ts'], {
    folder: EXAMPLE,
    environment,
  });
  const { code } = await running.ended;
  assert.equal(code, 0, running.lines.join('\n'));
}

export async function prepareProgram({ url }: PostgresServer): Promise<Program> {
  const environment = {
    HOST: '127.0.0.1',
    PORT: `${await findPort()}`,
    DATABASE_URL: url,
    RATE_LIMIT_MAX: '0',
    SHUTDOWN_DELAY_MS: '500',
  };
  return { args: ['web.ts'], folder: EXAMPLE, environment };
}

/** Sends SIGTERM. The process has to end with 0 and leave no open socket. */
export async function stopProgram(running: RunningProcess, program: Program): Promise<void> {
  running.signal('SIGTERM');
  const { code, signal } = await running.ended;
  assert.equal(code ?? signal, 0, running.lines.slice(-10).join('\n'));
  await waitUntilClosed(Number(program.environment.PORT));
}

export async function openClients(url: string, count = CLIENTS): Promise<EventClient[]> {
  const clients = Array.from({ length: count }, () => new EventClient(url));
  await Promise.all(clients.map(({ ready }) => ready));
  return clients;
}

/** Waits until all clients have all events, and compares them with the notes. */
export async function settle(clients: EventClient[], { notes }: Writers): Promise<string> {
  await waitForAll(clients, (client) => new Set(client.notes).size >= notes.length);
  stopClients(clients);
  const [first] = clients;
  for (const { ids, notes: seen } of clients) {
    assert.deepEqual(
      ids,
      [...new Set(ids)].sort((a, b) => a - b),
      'an event is repeated or out of order',
    );
    assert.deepEqual(ids, first!.ids, 'clients got different events');
    const missing = notes.filter((note) => !seen.includes(note));
    assert.deepEqual(missing, [], `${missing.length} of ${notes.length} missing`);
  }
  const connections = clients.reduce((sum, client) => sum + client.connections, 0);
  return `${notes.length} notes, ${first!.ids.length} events for each, ${connections} connections`;
}

/** Waits until all clients are complete, or for SETTLE_MS. */
export async function waitForAll(
  clients: EventClient[],
  isComplete: (client: EventClient) => boolean,
): Promise<void> {
  const deadline = performance.now() + SETTLE_MS;
  while (!clients.every(isComplete) && performance.now() < deadline) await sleep(100);
}

export function stopClients(clients: EventClient[]): void {
  for (const client of clients) client.stop();
}
