import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import type { ServerResponse } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { type RunningApp, startApp } from '../app.ts';
import { createCertificate } from '../certificate.ts';
import type { Tally } from '../tally.ts';
import { Receiver } from './receiver.ts';
import { attach, load } from './scene.ts';

interface Fault {
  answer: (response: ServerResponse) => void;
  /** The minimum number of log lines. */
  lines: number;
}

const answer =
  (status: number, headers: Record<string, string> = {}, body = '') =>
  (response: ServerResponse) =>
    void response.writeHead(status, headers).end(body);

/** Sends a byte each tenth of a second, without an end. */
function drip(response: ServerResponse): void {
  const timer = setInterval(() => response.write('x'), 100);
  response.once('close', () => clearInterval(timer));
}

/** How a collector can fail. A slow or incomplete answer is logged only at its time-out. */
const FAULTS: Record<string, Fault> = {
  'closes each connection': { answer: (response) => void response.destroy(), lines: 1 },
  'refuses with 401': { answer: answer(401), lines: 1 },
  'refuses with 503': { answer: answer(503), lines: 1 },
  'answers HTML': {
    answer: answer(200, { 'content-type': 'text/html' }, '<html>not OTLP</html>'),
    lines: 1,
  },
  'answers with 5 MiB': { answer: answer(200, {}, 'x'.repeat(5 * 1_024 * 1_024)), lines: 1 },
  'breaks off its answer': {
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
  'fails half of the time': {
    answer: (response) => void response.writeHead(Math.random() < 0.5 ? 401 : 200).end(),
    lines: 1,
  },
};

/** Retry-After in seconds: longer than the time-out of an export. */
const RETRY_AFTER_S = 32;

/** More spans than the SDK keeps. */
const REQUESTS = 5_000;

/** The maximum growth of memory while nothing can be sent, in MiB. */
const RISE_MIB = 150;

export async function proveFaults(tally: Tally): Promise<void> {
  await tally.check('A collector that accepts everything, as a baseline', () =>
    proveFault({ answer: answer(200), lines: 0 }),
  );
  for (const [name, fault] of Object.entries(FAULTS))
    await tally.check(
      `A collector that ${name}: one warning at most, all requests answered, exit code 0`,
      () => proveFault(fault),
    );
  await tally.check(
    "A collector at https: gets spans once its certificate and the app's own are set",
    proveTls,
  );
  await tally.check(
    'A collector that comes back: one warning, and one line that it is back',
    proveReturn,
  );
  await tally.check("A collector's Retry-After of 32 s is honoured", proveRetryAfter);
}

async function proveFault(fault: Fault): Promise<string> {
  await using receiver = await Receiver.start();
  receiver.fault = fault.answer;
  await using app = await startApp({ environment: attach(receiver) });
  await load(`${app.url}/`, REQUESTS / 10);
  const before = await readMemory(app.process.pid);
  const startedAt = performance.now();
  assert.equal(await load(`${app.url}/`, REQUESTS), REQUESTS);
  const durationMs = performance.now() - startedAt;
  await sleep(1_000);
  const rise = (await readMemory(app.process.pid)) - before;
  app.process.signal('SIGTERM');
  assert.equal((await app.process.ended).code, 0);
  const said = listLines(app);
  // A collector that fails at times recovers in between.
  assert(said.length >= fault.lines && said.length <= 2, said.join('\n'));
  assert(said.filter((line) => line.includes('fails')).length <= 1, said.join('\n'));
  assert(rise < RISE_MIB, `memory rose by ${rise.toFixed()} MiB`);
  const rate = (REQUESTS * 1_000) / durationMs;
  return `${said.length} lines, ${rise.toFixed()} MiB more, ${rate.toFixed()} requests a second`;
}

function listLines(app: RunningApp): string[] {
  return app.process.lines.filter((line) => line.includes('"The collector'));
}

/**
 * First the collector's certificate is unknown, then trusted, then the app has a client certificate
 * too.
 */
async function proveTls(): Promise<string> {
  const { cert, key } = await createCertificate();
  const [certificate, secret] = await Promise.all([readFile(cert), readFile(key)]);
  const tls = { cert: certificate, key: secret, ca: certificate, requestCert: true };
  const trusted = { OTEL_EXPORTER_OTLP_CERTIFICATE: cert };
  const known = {
    ...trusted,
    OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE: cert,
    OTEL_EXPORTER_OTLP_CLIENT_KEY: key,
  };
  const counts: number[] = [];
  for (const settings of [{}, trusted, known]) {
    await using receiver = await Receiver.start(tls);
    await using app = await startApp({ environment: { ...attach(receiver), ...settings } });
    await load(`${app.url}/`, 10);
    app.process.signal('SIGTERM');
    assert.equal((await app.process.ended).code, 0);
    assert.equal(listLines(app).length, settings === known ? 0 : 1, JSON.stringify(settings));
    counts.push(receiver.spans.length);
  }
  assert.deepEqual(counts, [0, 0, 10]);
  return `${counts.join(', ')} spans`;
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
  app.process.signal('SIGTERM');
  await app.process.ended;
  const said = listLines(app);
  assert.equal(said.length, 2, said.join('\n'));
  assert(receiver.spans.length >= 10, `${receiver.spans.length} spans after it`);
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
  assert(pauses.length >= 1, 'the collector got no second request');
  for (const pause of pauses) assert(pause > RETRY_AFTER_S * 900, `after ${pause.toFixed()} ms`);
  return `${pauses.map((pause) => (pause / 1_000).toFixed(1)).join(', ')} s apart`;
}

async function readMemory(pid: number): Promise<number> {
  const [, kibibytes] = /VmRSS:\s+(\d+)/.exec(await readFile(`/proc/${pid}/status`, 'utf8'))!;
  return Number(kibibytes) / 1_024;
}
