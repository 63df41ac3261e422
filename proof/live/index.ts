// Live notes behind HAProxy, nginx, Apache httpd and Caddy: no event lost over restarts and outages, no socket left
import assert from 'node:assert/strict';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { PostgresServer } from '../postgres.ts';
import { findPort, RunningProcess } from '../processes.ts';
import { HEALTH_INTERVAL_MS } from '../routing/rolling-restart.ts';
import { ROUTER_NAMES, type RouterName, startRouter } from '../routing/router.ts';
import { type Program, startProgram } from '../routing/web.ts';
import type { Tally } from '../tally.ts';
import { proveBrowser } from './browser.ts';
import { EventClient } from './client.ts';
import { proveCrowd, proveStoppedReader } from './crowd.ts';
import { waitUntilClosed } from './sockets.ts';
import { Writers } from './writer.ts';

const EXAMPLE = path.join(import.meta.dirname, '../../examples/live-notes');

/** How many clients follow the notes, and how many notes a second are written. */
const CLIENTS = 100;
const NOTES_PER_SECOND = 20;

/** How often a process is restarted, in milliseconds. */
const RESTART_EVERY_MS = 5_000;

/**
 * How long all clients may take to get what is missing, in milliseconds: a bound, not a
 * measurement.
 */
const SETTLE_MS = 60_000;

/** Names of routers restrict it to these. Flags: --restarts N (3; ten for a long look) */
export async function prove(tally: Tally, flags: string[]): Promise<void> {
  const { values, positionals } = parseArgs({
    args: flags,
    allowPositionals: true,
    options: { restarts: { type: 'string', default: '3' } },
  });
  await using postgres = await PostgresServer.create();
  await runExample('release.ts', { DATABASE_URL: postgres.url });
  const isWanted = (name: string) => positionals.length === 0 || positionals.includes(name);
  for (const router of ROUTER_NAMES.filter(isWanted))
    await tally.check(
      `${router}: each of ${CLIENTS} clients sees each event once and in order`,
      () => proveRouter(router, Number(values.restarts), postgres),
    );
  const program = await prepareProgram(postgres);
  await tally.check('PostgreSQL is killed and started: no event is lost', () =>
    proveOutage(program, postgres),
  );
  await tally.check('A browser keeps /live open over a restart and shows all notes', () =>
    proveBrowser(program),
  );
  await tally.check('1,000 clients that are idle: memory, and the drain in time', () =>
    proveCrowd(program),
  );
  await tally.check('A client that does not read: memory stays flat', () =>
    proveStoppedReader(program, postgres),
  );
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

async function runExample(file: string, environment: Record<string, string>): Promise<void> {
  const running = new RunningProcess(process.execPath, [file], { folder: EXAMPLE, environment });
  const { code } = await running.ended;
  assert.equal(code, 0, running.lines.join('\n'));
}

async function proveRouter(
  router: RouterName,
  restarts: number,
  postgres: PostgresServer,
): Promise<string> {
  await using stack = new AsyncDisposableStack();
  const programs = [await prepareProgram(postgres), await prepareProgram(postgres)];
  const running = await Promise.all(programs.map(startProgram));
  stack.defer(
    async () => void (await Promise.all(running.map((one) => one[Symbol.asyncDispose]()))),
  );
  const apps = programs.map(({ environment }) => Number(environment.PORT)) as [number, number];
  const { port } = stack.use(
    await startRouter(router, { apps, healthIntervalMs: HEALTH_INTERVAL_MS }),
  );
  const notes = `http://127.0.0.1:${port}/notes`;
  const clients = await openClients(`${notes}/events`);
  stack.defer(() => stopClients(clients));
  const writers = new Writers(notes, NOTES_PER_SECOND);
  stack.defer(() => writers.stop());
  for (let restart = 0; restart < restarts; restart++) {
    const index = restart % 2;
    await sleep(RESTART_EVERY_MS);
    await stopProgram(running[index]!, programs[index]!);
    running[index] = await startProgram(programs[index]!);
  }
  await sleep(RESTART_EVERY_MS);
  await writers.stop();
  const counts = await settle(clients, writers);
  await waitUntilClosed(port);
  await Promise.all(running.map((one, index) => stopProgram(one, programs[index]!)));
  return counts;
}

/** Sends SIGTERM; the process has to end by itself, with 0, and leave no socket to its port. */
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

/** Waits until all clients have what was written, and compares it. */
export async function settle(clients: EventClient[], { notes }: Writers): Promise<string> {
  const deadline = performance.now() + SETTLE_MS;
  const isComplete = (client: EventClient) => new Set(client.notes).size >= notes.length;
  while (!clients.every(isComplete) && performance.now() < deadline) await sleep(100);
  stopClients(clients);
  const [first] = clients;
  for (const { ids, notes: seen } of clients) {
    assert.deepEqual(
      ids,
      [...new Set(ids)].sort((a, b) => a - b),
      'twice, or not in order',
    );
    assert.deepEqual(ids, first!.ids, 'not the same for all');
    const missing = notes.filter((note) => !seen.includes(note));
    assert.deepEqual(missing, [], `${missing.length} of ${notes.length} missing`);
  }
  const connections = clients.reduce((sum, client) => sum + client.connections, 0);
  return `${notes.length} notes, ${first!.ids.length} events for each, ${connections} connections`;
}

function stopClients(clients: EventClient[]): void {
  for (const client of clients) client.stop();
}

async function proveOutage(program: Program, postgres: PostgresServer): Promise<string> {
  const running = await startProgram(program);
  const url = `http://127.0.0.1:${program.environment.PORT}/notes`;
  const clients = await openClients(`${url}/events`, 10);
  const writers = new Writers(url, NOTES_PER_SECOND);
  for (let outage = 0; outage < 2; outage++) {
    await sleep(2_000);
    await postgres.kill();
    await sleep(2_000);
    await postgres.start();
  }
  await sleep(4_000);
  // Written past the app, with SQL: an event like the others.
  await postgres.query(
    `insert into notes values (gen_random_uuid(), 'by SQL', '', now(), now()) returning id`,
  );
  await writers.stop();
  const counts = await settle(clients, writers);
  await stopProgram(running, program);
  return counts;
}
