import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import type { PostgresServer } from '../postgres.ts';
import type { Run } from './run.ts';

/** How many jobs two workers share. */
const JOBS = 20;

/** A client of its own, as a router tells it. */
const CLIENT = { 'x-forwarded-for': '203.0.113.9' };

/** What foreman says itself, in the name of a process. */
const OWN_WORDS = /\| (started with pid|exited with code) \d+$/;

/**
 * Every line of a process is one JSON object, every request is one of them, and every process says
 * its end.
 */
export function proveLog({ output, log, ports }: Run, sent: string[]): string {
  const broken = output.filter(
    (line) => /web\.\d +\|/.test(line) && !/\{.*\}$/.test(line) && !OWN_WORDS.test(line),
  );
  assert.deepEqual(broken, [], 'these lines are not whole');
  const requests = log.filter(({ line }) => line.msg === 'request');
  assert.deepEqual(requests.map(({ line }) => line.path).sort(), sent.sort());
  const pids = new Set(log.map(({ line }) => line.pid));
  assert.equal(pids.size, ports.length);
  for (const { name, line } of requests)
    if (name !== 'web') assert.equal(line.path?.split('/')[2], name.at(-1));
  assert.equal(log.filter(({ line }) => line.msg === 'Drained').length, ports.length);
  return `${log.length} lines of ${pids.size} drained process${pids.size > 1 ? 'es' : ''}, each a JSON object`;
}

/** What one process has written the other reads, and both count for one limit. */
export async function proveSharing({ urls }: Run, limit: number): Promise<string> {
  const [one, other] = urls;
  const headers = { 'content-type': 'application/json' };
  const answer = await fetch(`${one}/notes`, {
    method: 'POST',
    headers,
    body: '{"title":"Shared"}',
  });
  assert.equal(answer.status, 201);
  const found = await fetch(new URL(answer.headers.get('location')!, `${other}/notes`));
  assert.deepEqual(await found.json(), await answer.json());
  const statuses: number[] = [];
  for (let count = 0; count <= limit; count++)
    statuses.push((await fetch(`${urls[count % 2]}/nowhere`, { headers: CLIENT })).status);
  assert.deepEqual(statuses, [...Array(limit).fill(404), 429]);
  return `of ${limit + 1} requests to both in turn, the last is refused`;
}

/**
 * A SIGTERM to the runner alone: where it is not passed on, the app serves on, and nothing but a
 * signal to it helps.
 */
export async function proveNoticedSignal(run: Run): Promise<string> {
  const pids = new Set(run.log.map(({ line }) => line.pid));
  run.signal('SIGTERM', 'runner');
  await run.waitUntilRunnerEnded();
  // What was passed on has arrived by now: an app that drains is not ready.
  const isDeaf = await isServing(run);
  if (isDeaf) for (const pid of pids) process.kill(pid, 'SIGTERM');
  await run.waitUntilGone();
  const { code, signal } = await run.ended;
  const seen = isDeaf
    ? 'does not pass it on, THE APP SERVES ON until node gets one itself'
    : 'passes it on';
  return `${seen}; the runner ends with ${signal ?? code}`;
}

/** Both workers listen on ports of their own, and each job is done by one of them. */
export async function proveWorkers({ output }: Run, postgres: PostgresServer): Promise<string> {
  const see = (name: RegExp, text: string) =>
    output.filter((line) => name.test(line) && line.includes(text));
  const waitFor = async (isThere: () => boolean) => {
    while (!isThere()) await sleep(50);
  };
  await waitFor(() => [/worker\.1/, /worker\.2/].every((name) => see(name, 'listening at')[0]));
  await postgres.query(`insert into pgboss.job (name, data, singleton_key, retry_limit, policy)
    select 'seed', '{}', n, 100000, 'short' from generate_series(1, ${JOBS}) as n`);
  const done = () => see(/worker\.\d/, '"outcome":"done"');
  await waitFor(() => done().length >= JOBS);
  assert.equal(done().length, JOBS);
  return `two workers beside one web process, ${JOBS} jobs done`;
}

async function isServing({ urls }: Run): Promise<boolean> {
  const answers = await Promise.allSettled(urls.map((url) => fetch(`${url}/health/ready`)));
  return answers.every((answer) => answer.status === 'fulfilled' && answer.value.status === 200);
}
