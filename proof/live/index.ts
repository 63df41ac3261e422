// Live notes behind HAProxy, nginx, Apache and Caddy: no event lost over restarts and outages
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { PostgresServer } from '../postgres.ts';
import { HEALTH_INTERVAL_MS } from '../routing/rolling-restart.ts';
import { ROUTER_NAMES, type RouterName, startRouter } from '../routing/router.ts';
import { type Program, readPorts, startProgram } from '../routing/web.ts';
import type { Tally } from '../tally.ts';
import { proveBrowser } from './browser.ts';
import { proveCrowd, proveReturn, proveStoppedReader } from './crowd.ts';
import {
  CLIENTS,
  openClients,
  prepareProgram,
  release,
  settle,
  stopClients,
  stopProgram,
} from './scene.ts';
import { waitUntilClosed } from './sockets.ts';
import { Writers } from './writer.ts';

/** The number of notes written per second. */
const NOTES_PER_SECOND = 20;

/** The time between two restarts of a process, in milliseconds. */
const RESTART_EVERY_MS = 5_000;

/** Arguments: names of routers, to run these alone. Flags: --restarts N (3; 10 for a long run) */
export async function prove(tally: Tally, flags: string[]): Promise<void> {
  const { values, positionals } = parseArgs({
    args: flags,
    allowPositionals: true,
    options: { restarts: { type: 'string', default: '3' } },
  });
  await using postgres = await PostgresServer.create();
  await release({ DATABASE_URL: postgres.url });
  const isWanted = (name: string) => positionals.length === 0 || positionals.includes(name);
  for (const router of ROUTER_NAMES.filter(isWanted))
    await tally.check(
      `${router}: each of ${CLIENTS} clients gets each event once and in order`,
      () => proveRouter(router, Number(values.restarts), postgres),
    );
  const program = await prepareProgram(postgres);
  await tally.check('A restart of PostgreSQL loses no event', () => proveOutage(program, postgres));
  await tally.check('A browser with /live open during a restart shows all notes', () =>
    proveBrowser(program, postgres),
  );
  await tally.check('1,000 idle clients need little memory and are drained in time', () =>
    proveCrowd(program),
  );
  await tally.check(
    '1,000 clients that return at once get what they missed, without an error',
    () => proveReturn(program, postgres),
  );
  await tally.check('A client that does not read keeps memory flat', () =>
    proveStoppedReader(program, postgres),
  );
}

async function proveRouter(
  router: RouterName,
  restarts: number,
  postgres: PostgresServer,
): Promise<string> {
  await using stack = new AsyncDisposableStack();
  const programs: [Program, Program] = [
    await prepareProgram(postgres),
    await prepareProgram(postgres),
  ];
  const running = await Promise.all(programs.map(startProgram));
  stack.defer(
    async () => void (await Promise.all(running.map((one) => one[Symbol.asyncDispose]()))),
  );
  const apps = readPorts(programs);
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
  // A note inserted with SQL is an event too.
  await postgres.query(
    `insert into notes values (gen_random_uuid(), 'by SQL', '', now(), now()) returning id`,
  );
  await writers.stop();
  const counts = await settle(clients, writers);
  await stopProgram(running, program);
  return counts;
}
