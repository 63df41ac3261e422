// Traces and metrics to a collector: complete, by the specification, without secrets
import assert from 'node:assert/strict';
import { startApp } from '../app.ts';
import type { Tally } from '../tally.ts';
import { proveEnds } from './ends.ts';
import { proveFaults } from './faults.ts';
import { Receiver } from './receiver.ts';
import { attach, load, Scene } from './scene.ts';
import { proveTraces } from './traces.ts';

const PROTOCOLS = ['http/protobuf', 'http/json'] as const;

/** The kinds of OpenTelemetry's Span.SpanKind. */
const [SERVER, CLIENT] = [2, 3];

/** AGGREGATION_TEMPORALITY_CUMULATIVE. */
const CUMULATIVE = 2;

/** The number of requests, and the part that is recorded. */
const REQUESTS = 10_000;
const PART = 0.1;

export async function prove(tally: Tally): Promise<void> {
  for (const protocol of PROTOCOLS) {
    await proveTraces(tally, protocol);
    await tally.check(`${protocol}: every metric has its unit and temporality`, () =>
      proveMetrics(protocol),
    );
  }
  await tally.check(`Of ${REQUESTS} requests, a tenth is recorded, each complete`, proveSampling);
  await proveEnds(tally);
  await proveFaults(tally);
}

const METRICS = {
  'http.server.request.duration': { unit: 's', form: 'histogram' },
  'db.client.connection.count': { unit: '{connection}', form: 'sum' },
  'db.client.connection.pending_requests': { unit: '{request}', form: 'sum' },
  'messaging.client.sent.messages': { unit: '{message}', form: 'sum' },
  'messaging.process.duration': { unit: 's', form: 'histogram' },
};

async function proveMetrics(protocol: string): Promise<string> {
  await using receiver = await Receiver.start();
  {
    await using scene = await Scene.create();
    const web = await scene.startWeb({ ...attach(receiver, protocol), JOBS_IN_WEB: 'true' });
    await fetch(`${web.url}/proof-telemetry`, { method: 'POST' });
    await web.process.waitForLine('job done');
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
