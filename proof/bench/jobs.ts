import { Scene } from '../jobs/scene.ts';
import type { Setting } from './measurements.ts';
import { measureRounds, pick, type Result } from './rounds.ts';

/** The number of jobs in a round. */
const JOBS = 2_000;

/** The number of concurrent sends. */
const CLIENTS = 10;

const INSERT = 'one insert by pg';

const SEND = 'app.jobs.send';

/** Measures the cost of a send beside a plain insert, and the rate of a worker. */
export async function measureJobs({ rounds }: Setting): Promise<Result[]> {
  await using scene = await Scene.create();
  await using app = await scene.buildApp();
  const payload = { key: 'sent', sentAt: 0, ms: 0 };
  const send = {
    [INSERT]: () => app.databasePool!.query("insert into proof_runs values ('sent', 0)"),
    [SEND]: () => app.jobs.send('record', payload),
  };
  const contestants = [INSERT, SEND].map((name) => ({ name, args: [] }));
  const sent = await measureRounds(rounds, contestants, ({ name }) =>
    measureCost(send[name as keyof typeof send]),
  );
  await scene.postgres.query('delete from pgboss.job');
  const done: number[] = [];
  for (let round = 0; round < rounds; round++) done.push(await measureWorker(scene, `${round}`));
  return [
    {
      title: 'A job is sent, processor time',
      unit: 'µs',
      decimals: 0,
      baseline: INSERT,
      rounds: pick(sent, (cost) => cost),
    },
    { title: 'Jobs done by one worker', unit: 'jobs/s', rounds: { worker: done } },
  ];
}

/** @returns the processor time of one call, in microseconds */
async function measureCost(call: () => Promise<unknown>): Promise<number> {
  const callInTurn = async () => {
    for (let count = 0; count < JOBS / CLIENTS; count++) await call();
  };
  const before = process.cpuUsage();
  await Promise.all(Array.from({ length: CLIENTS }, callInTurn));
  const { user, system } = process.cpuUsage(before);
  return (user + system) / JOBS;
}

/** @returns the jobs per second of a worker whose jobs are all queued */
async function measureWorker(scene: Scene, round: string): Promise<number> {
  await scene.fill(JOBS, round);
  await using _worker = await scene.start('worker', {
    LOG_LEVEL: 'warn',
    WORKER_CONCURRENCY: '20',
  });
  const startedAt = performance.now();
  await scene.waitUntilDone(JOBS, round, 120_000);
  return (JOBS / (performance.now() - startedAt)) * 1_000;
}
