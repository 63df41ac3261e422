import { execFile, spawnSync } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import autocannon from 'autocannon';
import { makeFolder } from '../processes.ts';
import type { Server } from './server.ts';

const execute = promisify(execFile);

const CONNECTIONS = 50;

/** The warm-up in seconds: V8 compiles hot code for some time. */
const WARM_UP_S = 5;

/** Whether wrk is installed. It needs a fraction of autocannon's processor time. */
const hasWrk = spawnSync('wrk', ['-v']).error === undefined;

/** Enough connections for pauses of some milliseconds each: wrk counts in milliseconds. */
const PACED_CONNECTIONS = 200;

const PACED_SCRIPT = path.join(import.meta.dirname, 'paced.lua');

export const GENERATOR = [
  `${hasWrk ? 'wrk' : 'autocannon'} with ${CONNECTIONS} connections`,
  `${PACED_CONNECTIONS} for latency`,
].join(', ');

export interface Load {
  path: string;
  /** A JSON body, sent with POST. */
  body?: string;
}

export interface LoadResult {
  requestsPerSecond: number;
  /** The server's processor time per request in seconds; undefined if the system does not tell. */
  processorTime: number | undefined;
  /** Resident memory at the end, in MiB. */
  memory: number | undefined;
}

/** Sends requests as fast as the server answers. */
export async function runLoad(server: Server, load: Load, seconds: number): Promise<LoadResult> {
  const generate = hasWrk ? runWrk : runAutocannon;
  await generate(server.url, load, WARM_UP_S);
  const before = server.usage;
  const { requests, requestsPerSecond } = await generate(server.url, load, seconds);
  const after = server.usage;
  return {
    requestsPerSecond,
    processorTime: before && after && (after.processorTime - before.processorTime) / requests,
    memory: after?.memory,
  };
}

/** In milliseconds. */
export interface Latency {
  p50: number;
  p99: number;
}

/**
 * Requests / at a rate below the server's maximum, in requests per second.
 *
 * @throws if wrk is not installed: autocannon sends all requests of a second at once
 */
export async function runPacedLoad(
  { url }: Server,
  rate: number,
  seconds: number,
): Promise<Latency> {
  if (!hasWrk)
    throw new Error('Latency is measured with wrk: install it, as by "apt-get install wrk"');
  const args = [`-c${PACED_CONNECTIONS}`, `-d${seconds}s`, '-s', PACED_SCRIPT, url];
  const stdout = await callWrk(args, { MEAN_WAIT_MS: `${(PACED_CONNECTIONS / rate) * 1_000}` });
  return JSON.parse(/^\{.*\}$/m.exec(stdout)![0]);
}

interface Generated {
  requests: number;
  requestsPerSecond: number;
}

async function runWrk(
  url: string,
  { path: target, body }: Load,
  seconds: number,
): Promise<Generated> {
  const script = body === undefined ? [] : ['-s', await writeScript(body)];
  const stdout = await callWrk([`-c${CONNECTIONS}`, `-d${seconds}s`, ...script, url + target]);
  return {
    requests: Number(/(\d+) requests in/.exec(stdout)?.[1]),
    requestsPerSecond: Number(/Requests\/sec:\s*([\d.]+)/.exec(stdout)?.[1]),
  };
}

/** @throws if a request failed: a refusal would count as a fast answer */
async function callWrk(args: string[], environment: Record<string, string> = {}): Promise<string> {
  const { stdout } = await execute('wrk', ['-t1', ...args], {
    env: { ...process.env, ...environment },
  });
  const failures = /Non-2xx or 3xx responses: \d+|Socket errors: .*/.exec(stdout);
  if (failures) throw new Error(`wrk ${args.join(' ')}: ${failures[0]}`);
  return stdout;
}

async function writeScript(body: string): Promise<string> {
  const file = path.join(await makeFolder('wrk'), 'post.lua');
  const lines = ['wrk.method = "POST"', `wrk.body = ${JSON.stringify(body)}`];
  await writeFile(file, `${lines.join('\n')}\nwrk.headers["content-type"] = "application/json"\n`);
  return file;
}

async function runAutocannon(
  url: string,
  { path: target, body }: Load,
  seconds: number,
): Promise<Generated> {
  const post =
    body === undefined
      ? {}
      : { method: 'POST' as const, body, headers: { 'content-type': 'application/json' } };
  const result = await autocannon({
    url: url + target,
    connections: CONNECTIONS,
    duration: seconds,
    ...post,
  });
  if (result.errors + result.non2xx > 0)
    throw new Error(`${target}: ${result.errors + result.non2xx} requests failed`);
  return { requests: result['2xx'], requestsPerSecond: result['2xx'] / result.duration };
}
