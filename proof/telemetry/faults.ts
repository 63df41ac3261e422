import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import type { ServerResponse } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { startApp } from '../app.ts';
import type { Tally } from '../tally.ts';
import { attach, load } from './index.ts';
import { Receiver } from './receiver.ts';

const answer =
  (status: number, headers: Record<string, string> = {}, body = '') =>
  (response: ServerResponse) =>
    void response.writeHead(status, headers).end(body);

/** How a collector can fail. */
const FAULTS: Record<string, (response: ServerResponse) => void> = {
  'is away': (response) => void response.destroy(),
  'refuses with 401': answer(401),
  'refuses with 503': answer(503),
  'answers rubbish': answer(200, { 'content-type': 'text/html' }, '<html>not OTLP</html>'),
  'fails every second time': (response) =>
    void response.writeHead(Math.random() < 0.5 ? 401 : 200).end(),
};

/** What 429 asks for, in seconds: longer than one export may take. */
const RETRY_AFTER_S = 32;

const REQUESTS = 2_000;

/** How much memory may rise while nothing can be sent, in MiB. */
const RISE_MIB = 80;

export async function proveFaults(tally: Tally): Promise<void> {
  for (const [name, fault] of Object.entries(FAULTS))
    await tally.check(`A collector that ${name}: one warning, all answered, exit code 0`, () =>
      proveFault(fault),
    );
  await tally.check('A collector that never answers: all answered, exit code 0', () =>
    proveFault(() => undefined, 0),
  );
  await tally.check('Retry-After is honoured', proveRetryAfter);
}

/** @param lines how many lines of the log there are at least; a time-out is said when it is over */
async function proveFault(fault: (response: ServerResponse) => void, lines = 1): Promise<string> {
  await using receiver = await Receiver.start();
  receiver.fault = fault;
  await using app = await startApp({ environment: attach(receiver) });
  await load(`${app.url}/`, REQUESTS / 4);
  const before = await readMemory(app.process.pid);
  assert.equal(await load(`${app.url}/`, REQUESTS), REQUESTS);
  await sleep(1_000);
  const rise = (await readMemory(app.process.pid)) - before;
  app.process.signal('SIGTERM');
  assert.equal((await app.process.ended).code, 0);
  const said = app.process.lines.filter((line) => line.includes('"The collector'));
  assert(said.length >= lines && said.length <= 2, said.join('\n'));
  assert(rise < RISE_MIB, `memory rose by ${rise.toFixed()} MiB`);
  return `${said.length} lines, ${rise.toFixed()} MiB more`;
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
