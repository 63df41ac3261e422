import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import type { ServerResponse } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { type RunningApp, startApp } from '../app.ts';
import type { Tally } from '../tally.ts';
import { Receiver } from './receiver.ts';
import { attach, load } from './scene.ts';

interface Fault {
  answer: (response: ServerResponse) => void;
  /** How many lines of the log there are at least. */
  lines: number;
}

const answer =
  (status: number, headers: Record<string, string> = {}, body = '') =>
  (response: ServerResponse) =>
    void response.writeHead(status, headers).end(body);

/** Sends one byte more each tenth of a second, and never ends. */
function drip(response: ServerResponse): void {
  const timer = setInterval(() => response.write('x'), 100);
  response.once('close', () => clearInterval(timer));
}

/** How a collector can fail. What is late is said when its time is over, and half an answer is one. */
const FAULTS: Record<string, Fault> = {
  'is away': { answer: (response) => void response.destroy(), lines: 1 },
  'refuses with 401': { answer: answer(401), lines: 1 },
  'refuses with 503': { answer: answer(503), lines: 1 },
  'answers rubbish': {
    answer: answer(200, { 'content-type': 'text/html' }, '<html>not OTLP</html>'),
    lines: 1,
  },
  'answers with 5 MiB': { answer: answer(200, {}, 'x'.repeat(5 * 1_024 * 1_024)), lines: 1 },
  'answers a half': {
    answer: (response) =>
      void response
        .writeHead(200, { 'content-length': '9' })
        .write('half', () => response.destroy()),
    lines: 0,
  },
  'answers byte by byte': { answer: drip, lines: 0 },
  'is slow': {
    answer: (response) => void setTimeout(() => response.end(), 5_000),
    lines: 0,
  },
  'never answers': { answer: () => undefined, lines: 0 },
  'fails every second time': {
    answer: (response) => void response.writeHead(Math.random() < 0.5 ? 401 : 200).end(),
    lines: 1,
  },
};

/** What 429 asks for, in seconds: longer than one export may take. */
const RETRY_AFTER_S = 32;

const REQUESTS = 2_000;

/** How much memory may rise while nothing can be sent, in MiB. */
const RISE_MIB = 80;

export async function proveFaults(tally: Tally): Promise<void> {
  for (const [name, fault] of Object.entries(FAULTS))
    await tally.check(
      `A collector that ${name}: at most one warning, all answered, exit code 0`,
      () => proveFault(fault),
    );
  await tally.check('A collector whose TLS fails: one warning, all answered, exit code 0', () =>
    proveFault({ answer: answer(200), lines: 1 }, 'https:'),
  );
  await tally.check('A collector that comes back: one warning, and one line', proveReturn);
  await tally.check('Retry-After is honoured', proveRetryAfter);
}

async function proveFault(fault: Fault, scheme = 'http:'): Promise<string> {
  await using receiver = await Receiver.start();
  receiver.fault = fault.answer;
  const environment = attach(receiver);
  environment.OTEL_EXPORTER_OTLP_ENDPOINT = receiver.url.replace('http:', scheme);
  await using app = await startApp({ environment });
  await load(`${app.url}/`, REQUESTS / 4);
  const before = await readMemory(app.process.pid);
  assert.equal(await load(`${app.url}/`, REQUESTS), REQUESTS);
  await sleep(1_000);
  const rise = (await readMemory(app.process.pid)) - before;
  app.process.signal('SIGTERM');
  assert.equal((await app.process.ended).code, 0);
  const said = listLines(app);
  // A collector that fails at times is back in between.
  assert(said.length >= fault.lines && said.length <= 2, said.join('\n'));
  assert(said.filter((line) => line.includes('fails')).length <= 1, said.join('\n'));
  assert(rise < RISE_MIB, `memory rose by ${rise.toFixed()} MiB`);
  return `${said.length} lines, ${rise.toFixed()} MiB more`;
}

function listLines(app: RunningApp): string[] {
  return app.process.lines.filter((line) => line.includes('"The collector'));
}

async function proveReturn(): Promise<string> {
  await using receiver = await Receiver.start();
  receiver.fault = answer(503);
  await using app = await startApp({ environment: attach(receiver) });
  await load(`${app.url}/`, 10);
  await app.process.waitForLine('The collector fails');
  await sleep(3_000);
  receiver.fault = undefined;
  await app.process.waitForLine('The collector is back');
  await load(`${app.url}/`, 10);
  await sleep(1_000);
  const said = listLines(app);
  assert.equal(said.length, 2, said.join('\n'));
  return `${receiver.spans.length} spans after it`;
}

async function proveRetryAfter(): Promise<string> {
  await using receiver = await Receiver.start();
  receiver.fault = answer(429, { 'retry-after': `${RETRY_AFTER_S}` });
  const environment = { ...attach(receiver), OTEL_TRACES_SAMPLER: 'always_off' };
  await using app = await startApp({ environment });
  await load(`${app.url}/`, 10);
  await sleep((RETRY_AFTER_S + 8) * 1_000);
  const pauses = receiver.times.slice(1).map((time, index) => time - receiver.times[index]!);
  assert(pauses.length >= 1, 'it was not asked again');
  for (const pause of pauses) assert(pause > RETRY_AFTER_S * 900, `after ${pause.toFixed()} ms`);
  return `${pauses.map((pause) => (pause / 1_000).toFixed(1)).join(', ')} s apart`;
}

async function readMemory(pid: number): Promise<number> {
  const [, kibibytes] = /VmRSS:\s+(\d+)/.exec(await readFile(`/proc/${pid}/status`, 'utf8'))!;
  return Number(kibibytes) / 1_024;
}
