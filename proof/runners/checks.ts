import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import type { PostgresServer } from '../postgres.ts';
import type { Run } from './run.ts';

/** The number of jobs that two workers share. */
const JOBS = 20;

/** Another client's address, as a router sends it. */
const CLIENT = { 'x-forwarded-for': '203.0.113.9' };

/** Foreman's own messages with the name of a process. */
const OWN_WORDS = /\| (started with pid|exited with code) \d+$/;

/**
 * Each line of a process is one JSON object, each request is one line, and each process logs its
 * end.
 */
export function proveLog({ output, log, ports }: Run, sent: string[]): string {
  const broken = output.filter(
    (line) => /web\.\d +\|/.test(line) && !/\{.*\}$/.test(line) && !OWN_WORDS.test(line),
  );
  assert.deepEqual(broken, [], 'these lines are not complete');
  const requests = log.filter(({ line }) => line.msg === 'request');
  assert.deepEqual(requests.map(({ line }) => line.path).sort(), sent.sort());
  const pids = new Set(log.map(({ line }) => line.pid));
  assert.equal(pids.size, ports.length);
  for (const { name, line } of requests)
    if (name !== 'web') assert.equal(line.path?.split('/')[2], name.at(-1));
  assert.equal(log.filter(({ line }) => line.msg === 'Drained').length, ports.length);
  const processes = pids.size > 1 ? 'processes' : 'process';
  return `${log.length} lines of ${pids.size} drained ${processes}, each a JSON object`;
}

/** Both processes share the notes and the rate limit. */
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

/** Sends SIGTERM to the runner alone. If it is not passed on, only a signal to the app stops it. */
export async function proveNoticedSignal(run: Run): Promise<string> {
  const pids = new Set(run.log.map(({ line }) => line.pid));
  run.signal('SIGTERM', 'runner');
  await run.waitUntilRunnerEnded();
  // A passed-on signal has arrived by now: a draining app is not ready.
  const goesOn = await isServing(run);
  if (goesOn) for (const pid of pids) process.kill(pid, 'SIGTERM');
  await run.waitUntilGone();
  const { code, signal } = await run.ended;
  const seen = goesOn
    ? 'does not pass it on: THE APP GOES ON until node itself gets a signal'
    : 'passes it on';
  return `${seen}; the runner ends with ${signal ?? code}`;
}

/** Both workers listen on own ports, and one of them does each job. */
export async function proveWorkers(
  { output }: Run,
  postgres: PostgresServer,
  workers: number,
): Promise<string> {
  const see = (name: RegExp, text: string) =>
    output.filter((line) => name.test(line) && line.includes(text));
  const waitFor = async (isThere: () => boolean) => {
    while (!isThere()) await sleep(50);
  };
  await waitFor(() => see(/worker\.\d/, 'listening at').length === workers);
  await postgres.query(`insert into pgboss.job (name, data, singleton_key, retry_limit, policy)
    select 'seed', '{}', n, 100000, 'short' from generate_series(1, ${JOBS}) as n`);
  const done = () => see(/worker\.\d/, '"outcome":"done"');
  await waitFor(() => done().length >= JOBS);
  assert.equal(done().length, JOBS);
  assert.equal(see(/release\.\d/, '').length, 0);
  return `${workers} worker beside one web process, ${JOBS} jobs done`;
}

async function isServing({ urls }: Run): Promise<boolean> {
  const answers = await Promise.allSettled(urls.map((url) => fetch(`${url}/health/ready`)));
  return answers.every((answer) => answer.status === 'fulfilled' && answer.value.status === 200);
}
