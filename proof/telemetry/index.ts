// Traces and metrics to a collector: complete, by the specification, without secrets, whatever the collector does
import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { startApp } from '../app.ts';
import type { Tally } from '../tally.ts';
import { proveFaults } from './faults.ts';
import { Receiver } from './receiver.ts';
import { proveTraces } from './traces.ts';

const PROTOCOLS = ['http/protobuf', 'http/json'] as const;

/** The kinds of OpenTelemetry's Span.SpanKind. */
const [SERVER, CLIENT] = [2, 3];

/** AGGREGATION_TEMPORALITY_CUMULATIVE. */
const CUMULATIVE = 2;

/** How many requests are sampled, and which part of them is recorded. */
const REQUESTS = 10_000;
const PART = 0.1;

export async function prove(tally: Tally): Promise<void> {
  for (const protocol of PROTOCOLS) {
    await proveTraces(tally, protocol);
    await tally.check(`${protocol}: every metric has its unit and temporality`, () =>
      proveMetrics(protocol),
    );
  }
  await tally.check(
    `${REQUESTS} requests, of which a tenth is recorded, each whole`,
    proveSampling,
  );
  await tally.check('SIGTERM under load: the spans of all answered requests arrive', proveDrain);
  await proveFaults(tally);
}

export function attach({ url }: Receiver, protocol = 'http/protobuf'): Record<string, string> {
  return {
    OTEL_EXPORTER_OTLP_ENDPOINT: url,
    OTEL_EXPORTER_OTLP_PROTOCOL: protocol,
    OTEL_METRIC_EXPORT_INTERVAL: '500',
    RATE_LIMIT_MAX: '0',
  };
}

const METRICS = {
  'http.server.request.duration': { unit: 's', form: 'histogram' },
  'db.client.connection.count': { unit: '{connection}', form: 'sum' },
  'db.client.connection.pending_requests': { unit: '{request}', form: 'sum' },
};

async function proveMetrics(protocol: string): Promise<string> {
  await using receiver = await Receiver.start();
  {
    await using app = await startApp({ postgres: true, environment: attach(receiver, protocol) });
    await fetch(`${app.url}/notes`);
  }
  for (const [name, { unit, form }] of Object.entries(METRICS)) {
    const metric = receiver.metrics.find((metric) => metric.name === name);
    assert(metric, `${name} is missing`);
    assert.deepEqual(
      { unit: metric.unit, form: metric.form, temporality: metric.temporality },
      { unit, form, temporality: CUMULATIVE },
      name,
    );
  }
  return [...new Set(receiver.metrics.map(({ name }) => name))].join(', ');
}

async function proveSampling(): Promise<string> {
  await using receiver = await Receiver.start();
  {
    const environment = {
      ...attach(receiver),
      OTEL_TRACES_SAMPLER: 'parentbased_traceidratio',
      OTEL_TRACES_SAMPLER_ARG: `${PART}`,
    };
    await using app = await startApp({ postgres: true, environment });
    await load(`${app.url}/notes?limit=1`, REQUESTS);
  }
  const servers = receiver.spans.filter(({ kind }) => kind === SERVER);
  const parents = new Set(
    receiver.spans.filter(({ kind }) => kind === CLIENT).map((span) => span.parentSpanId),
  );
  const expected = REQUESTS * PART;
  assert(Math.abs(servers.length - expected) < expected / 4, `${servers.length} traces`);
  for (const { spanId } of servers) assert(parents.has(spanId), 'a request without its query');
  return `${servers.length} traces`;
}

/** Sends requests over twenty connections, as fast as they are answered. @returns how many were */
export async function load(url: string, requests: number, connections = 20): Promise<number> {
  let left = requests;
  let answered = 0;
  const client = async () => {
    while (left-- > 0) {
      const answer = await fetch(url).catch(() => undefined);
      if (!answer) return;
      await answer.arrayBuffer().catch(() => undefined);
      if (answer.status === 200) answered++;
    }
  };
  await Promise.all(Array.from({ length: connections }, client));
  return answered;
}

async function proveDrain(): Promise<string> {
  await using receiver = await Receiver.start();
  const environment = { ...attach(receiver), SHUTDOWN_DELAY_MS: '300' };
  await using app = await startApp({ environment });
  const answered = load(`${app.url}/`, 100_000);
  await sleep(1_000);
  app.process.signal('SIGTERM');
  const count = await answered;
  assert.equal((await app.process.ended).code, 0);
  const spans = receiver.spans.filter(({ name }) => name === 'GET /').length;
  assert(spans >= count, `${spans} spans of ${count} answered requests`);
  return `${spans} spans of ${count} answered requests`;
}
