// Jobs on PostgreSQL: none is lost over restarts, kills and outages; transactions, schedules
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import type { RunningProcess } from '../processes.ts';
import type { Tally } from '../tally.ts';
import { Scene } from './scene.ts';

/** The number of concurrent requests. */
const CLIENTS = 20;

/** The time between two restarts of a worker, in milliseconds. */
const RESTART_MS = 3_000;

/** The number of jobs that a worker runs at once. */
const CONCURRENCY = 10;

/** The maximum time for many jobs in a row, in milliseconds. */
const MANY_MS = 600_000;

const SETTINGS = { WORKER_CONCURRENCY: `${CONCURRENCY}` };

/**
 * Flags: --jobs N (10000), the jobs under load; --many N (2000), the jobs while a worker's memory
 * is measured.
 */
export async function prove(tally: Tally, flags: string[]): Promise<void> {
  const count = { type: 'string', default: '2000' } as const;
  const { jobs, many } = parseArgs({
    args: flags,
    options: { jobs: { ...count, default: '10000' }, many: count },
  }).values;
  await using scene = await Scene.create();
  await tally.check('1,000 transactions with a job each, half rolled back, queue 500 jobs', () =>
    proveTransactions(scene),
  );
  await tally.check('Workers restarted and killed under load lose no job', () =>
    proveRestarts(scene, Number(jobs)),
  );
  await tally.check('Jobs that throw, hang or do not fit are tried twice and given up', () =>
    proveFailures(scene),
  );
  await tally.check("A worker's memory stays flat over many jobs", () =>
    proveMemory(scene, Number(many)),
  );
  await tally.check(
    'A job scheduled each minute runs at most once a minute, with several workers',
    () => proveTicks(scene),
  );
  await tally.check('PostgreSQL down for 10 s loses no job', () => proveOutage(scene));
}

async function proveTransactions(scene: Scene): Promise<string> {
  await using app = await scene.buildApp();
  const startedAt = performance.now();
  for (let number = 0; number < 1_000; number++) {
    const write = app.db.transaction().execute(async (transaction) => {
      const payload = { key: `transaction ${number}`, sentAt: Date.now(), ms: 0 };
      await app.jobs.send('record', payload, { transaction });
      if (number % 2 === 0) throw new Error('rolled back');
    });
    await write.catch((error) => assert.equal(error.message, 'rolled back'));
  }
  const found = await scene.count("from pgboss.job where data->>'key' like 'transaction %'");
  assert.equal(found, 500);
  return `500 jobs; ${Math.round(performance.now() - startedAt)} µs for each transaction`;
}

async function proveRestarts(scene: Scene, jobs: number): Promise<string> {
  const webs = await Promise.all([scene.start('web'), scene.start('web')]);
  const workers = await Promise.all([1, 2, 3].map(() => scene.start('worker', SETTINGS)));
  let isSent = false;
  let killed = 0;
  const restart = async () => {
    for (let turn = 0; !isSent; turn = 1 - turn) {
      await sleep(RESTART_MS);
      workers[turn]!.signal('SIGTERM');
      assert.equal((await workers[turn]!.ended).code, 0, 'a restarted worker ends with 0');
      workers[turn] = await scene.start('worker', SETTINGS);
    }
  };
  const kill = async () => {
    while (!isSent) {
      await sleep(1_000 + Math.random() * 8_000);
      workers[2]!.signal('SIGKILL');
      killed += 1;
      workers[2] = await scene.start('worker', SETTINGS);
    }
  };
  const disturbed = Promise.all([restart(), kill()]);
  const startedAt = performance.now();
  await send(
    webs.map(({ url }) => url),
    jobs,
  ).finally(() => {
    isSent = true;
  });
  const sentMs = performance.now() - startedAt;
  await disturbed;
  await scene.waitUntilDone(jobs, 'load', 150_000);
  const twice = (await scene.count("from proof_runs where key like 'load %'")) - jobs;
  assert.ok(
    twice <= killed * CONCURRENCY,
    `${twice} done twice, of ${killed * CONCURRENCY} that may have been interrupted`,
  );
  const [waited] = await scene.postgres.query<{ middle: number; most: number }>(
    `select percentile_cont(0.5) within group (order by waited_ms) as middle, max(waited_ms) as most
    from proof_runs where key like 'load %'`,
  );
  for (const running of [...webs, ...workers]) await running[Symbol.asyncDispose]();
  return [
    `${jobs} queued, ${Math.round((jobs / sentMs) * 1_000)} a second`,
    `all done, ${twice} of them twice`,
    `${killed} workers killed`,
    `median wait ${waited?.middle} ms, at most ${waited?.most} ms`,
  ].join('; ');
}

/** Queues jobs through the API, and repeats requests that an overloaded process refuses. */
async function send(urls: string[], jobs: number): Promise<void> {
  let next = 0;
  const client = async () => {
    while (next < jobs) {
      const number = next++;
      const url = `${urls[number % urls.length]}/proof-jobs/load ${number}`;
      const ask = async () => (await fetch(url, { method: 'POST' })).status;
      let status = await ask();
      for (; status === 503; status = await ask()) await sleep(100);
      assert.equal(status, 202);
    }
  };
  await Promise.all(Array.from({ length: CLIENTS }, client));
}

/** The ways in which `fail` jobs fail; `older` has a payload of an older version. */
const FAILURES = [
  'throw',
  'throw text',
  'throw null',
  'hang',
  'ignore the limit',
  'older',
] as const;

/** Each job is tried twice and given up, and the workers go on. */
async function proveFailures(scene: Scene): Promise<string> {
  const workers = await Promise.all([1, 2].map(() => scene.start('worker', SETTINGS)));
  await using app = await scene.buildApp();
  const startedAt = performance.now();
  const sent: { id: string | null; how: string }[] = [];
  for (let turn = 0; turn < 10; turn++)
    for (const how of FAILURES)
      sent.push({ id: await app.jobs.send('fail', { how }, { after: 5_000 }), how });
  await scene.postgres.query(`update pgboss.job set data = '{"manner":"older"}'
    where name = 'fail' and data->>'how' = 'older'`);
  await app.jobs.send('record', { key: 'after failures', sentAt: Date.now(), ms: 0 });
  const outcomes = () =>
    workers.flatMap(({ lines }) => lines.filter((line) => line.includes('"outcome":"')));
  const find = (id: string | null) => outcomes().filter((line) => line.includes(`"${id}"`));
  while (!sent.every(({ id }) => find(id).length > 1) && performance.now() - startedAt < 60_000)
    await sleep(500);
  // Wait, in case a worker wrongly runs one of them again.
  await sleep(3_000);
  for (const { id, how } of sent) {
    const runs = find(id).map((line) => JSON.parse(line));
    const [first, second, ...more] = runs.sort((a, b) => a.attempt - b.attempt);
    assert.equal(first?.outcome, 'retry', how);
    assert.equal(second?.outcome, 'failed', how);
    assert.ok(first.err.message && second.err.stack, how);
    assert.equal(more.length, 0, how);
  }
  assert.equal(await scene.count("from proof_runs where key = 'after failures'"), 1);
  for (const worker of workers) await worker[Symbol.asyncDispose]();
  return `${sent.length} jobs of ${FAILURES.length} kinds: each tried twice, given up and logged`;
}

/** Compares a worker's memory after a quarter of the jobs and after all of them. */
async function proveMemory(scene: Scene, jobs: number): Promise<string> {
  await scene.fill(jobs, 'many');
  const worker = await scene.start('worker', { WORKER_CONCURRENCY: '20', LOG_LEVEL: 'warn' });
  const startedAt = performance.now();
  await scene.waitUntilDone(jobs / 4, 'many', MANY_MS);
  const early = await readMemory(worker);
  await scene.waitUntilDone(jobs, 'many', MANY_MS);
  const late = await readMemory(worker);
  const rate = Math.round((jobs / (performance.now() - startedAt)) * 1_000);
  await worker[Symbol.asyncDispose]();
  assert.ok(late < early * 2, `${early} MiB after a quarter, ${late} MiB after all`);
  return `${rate} a second; ${early} MiB after a quarter of ${jobs}, ${late} MiB after all`;
}

async function readMemory({ pid }: RunningProcess): Promise<number> {
  const [, kib] = /VmRSS:\s+(\d+)/.exec(await readFile(`/proc/${pid}/status`, 'utf8')) ?? [];
  return Math.round(Number(kib) / 1_024);
}

async function proveOutage(scene: Scene): Promise<string> {
  const workers = await Promise.all([1, 2, 3].map(() => scene.start('worker', SETTINGS)));
  await using app = await scene.buildApp();
  for (let number = 0; number < 100; number++)
    await app.jobs.send('record', { key: `outage ${number}`, sentAt: Date.now(), ms: 1_000 });
  await sleep(1_000);
  await scene.postgres.kill();
  await sleep(10_000);
  await scene.postgres.start();
  const startedAt = performance.now();
  await scene.waitUntilDone(100, 'outage', 60_000);
  const seconds = Math.round((performance.now() - startedAt) / 100) / 10;
  for (const worker of workers) await worker[Symbol.asyncDispose]();
  return `100 of 100 jobs done ${seconds} s after it was back`;
}

/** pg-boss has one slot per minute. */
async function proveTicks(scene: Scene): Promise<string> {
  const slots = () =>
    scene.count(
      `from (
        select distinct singleton_on from pgboss.job where name = '__pgboss__send-it'
      ) as slots`,
    );
  await scene.postgres.query('truncate proof_ticks');
  const before = await slots();
  const workers = await Promise.all([1, 2, 3].map(() => scene.start('worker', SETTINGS)));
  const startedAt = performance.now();
  const done = () => scene.count('from proof_ticks');
  while ((await done()) === 0 && performance.now() - startedAt < 120_000) await sleep(500);
  // Wait, in case another worker wrongly runs it again.
  await sleep(5_000);
  const ticks = await done();
  const minutes = (await slots()) - before;
  for (const worker of workers) await worker[Symbol.asyncDispose]();
  assert.ok(ticks > 0 && ticks <= minutes, `${ticks} jobs for ${minutes} minutes`);
  return `${ticks} jobs for ${minutes} minutes, with three workers`;
}
