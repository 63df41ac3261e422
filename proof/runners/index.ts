// Debian's foreman, npm's foreman and npm start: ports, signals, exit codes, whole log lines
import assert from 'node:assert/strict';
import { buildApp } from '../build.ts';
import { PostgresServer } from '../postgres.ts';
import type { Ending } from '../processes.ts';
import { startRedis } from '../redis.ts';
import { release } from '../routing/web.ts';
import type { Tally } from '../tally.ts';
import { installTools } from '../tools.ts';
import { proveLog, proveNoticedSignal, proveSharing, proveWorkers } from './checks.ts';
import { EXAMPLES, NF, Run } from './run.ts';

interface Runner {
  name: string;
  command: string;
  /** The number of `web` processes: the first listens on PORT, the second on the next port. */
  processes: 1 | 2;
  /** The ways to stop the app, and the runner's own exit. */
  stops: { name: string; signal: NodeJS.Signals; to: 'runner' | 'group'; ending: Ending }[];
}

const success: Ending = { code: 0, signal: null };
const ctrlC = (ending: Ending) =>
  ({ name: 'Ctrl-C', signal: 'SIGINT', to: 'group', ending }) as const;

const FOREMAN: Runner = {
  name: "Debian's foreman",
  command: 'foreman start -m web=2',
  processes: 2,
  stops: [{ name: 'SIGTERM', signal: 'SIGTERM', to: 'runner', ending: success }, ctrlC(success)],
};

/** These do not pass SIGTERM on. The proof checks it and prints it. */
const NOT_FORWARDING: Runner[] = [
  { name: "npm's foreman", command: `${NF} start web=2`, processes: 2, stops: [ctrlC(success)] },
  {
    name: 'npm start',
    command: 'npm start',
    processes: 1,
    stops: [ctrlC({ code: null, signal: 'SIGINT' })],
  },
];

/** The limit of one client per minute. */
const LIMIT = 60;

export async function prove(tally: Tally): Promise<void> {
  installTools(EXAMPLES);
  const folder = buildApp();
  await using postgres = await PostgresServer.create();
  await release(postgres.url);
  await using redis = await startRedis();
  const start = (
    { command, processes }: Runner,
    environment: Record<string, string> = { RATE_LIMIT_MAX: '0' },
  ) => Run.start(command, folder, processes, { DATABASE_URL: postgres.url, ...environment });
  for (const runner of [FOREMAN, ...NOT_FORWARDING]) {
    for (const stop of runner.stops)
      await tally.check(
        `${runner.name}: ${stop.name} drains the app and leaves nothing behind`,
        async () => {
          await using run = await start(runner);
          const sent = await run.load();
          run.signal(stop.signal, stop.to);
          assert.deepEqual(await run.ended, stop.ending);
          await run.waitUntilGone();
          const { code, signal } = stop.ending;
          const log = proveLog(run, sent);
          return `${describe(run)}; ${log}; ended with ${signal ?? code}`;
        },
      );
  }
  await tally.check(
    "contract 8: Two web processes of Debian's foreman share notes and rate limit",
    async () => {
      await using run = await start(FOREMAN, { REDIS_URL: redis.url, RATE_LIMIT_MAX: `${LIMIT}` });
      return await proveSharing(run, LIMIT);
    },
  );
  for (const [workers, command] of [
    [1, 'foreman start'],
    [2, 'foreman start -m web=1,worker=2'],
  ] as const)
    await tally.check(`Debian's foreman, ${command}: jobs are done`, async () => {
      await using run = await start({ ...FOREMAN, command, processes: 1 });
      const result = await proveWorkers(run, postgres, workers);
      run.signal('SIGTERM', 'runner');
      assert.deepEqual(await run.ended, success);
      await run.waitUntilGone();
      return `${result}; nothing left behind`;
    });
  for (const runner of NOT_FORWARDING)
    await tally.check(`${runner.name}: SIGTERM to the runner alone, for information`, async () => {
      await using run = await start(runner);
      return await proveNoticedSignal(run);
    });
}

function describe({ ports }: Run): string {
  return ports.length === 1 ? 'on PORT' : `on PORT and PORT + ${ports[1]! - ports[0]!}`;
}
