import assert from 'node:assert/strict';
import { startApp } from '../app.ts';
import type { Tally } from '../tally.ts';
import { type ReceivedSpan, Receiver } from './receiver.ts';
import { attach, Scene } from './scene.ts';

/** OpenTelemetry's Span.SpanKind. */
const KINDS = { server: 2, client: 3, producer: 4, consumer: 5 };

const SCHEMA = 'https://opentelemetry.io/schemas/1.45.0';

interface Expected {
  name: string;
  kind: keyof typeof KINDS;
  /** The name of the parent span; the first one has none. */
  parent?: string;
  service: string;
  /** Values as text. */
  attributes: Record<string, string>;
}

const http = { 'http.request.method': 'GET', 'http.response.status_code': '200' };
const query = { 'db.system.name': 'postgresql', 'db.namespace': 'postgres' };
const job = { 'messaging.system': 'pg-boss', 'messaging.destination.name': 'expire-notes' };

const CALL: Expected[] = [
  {
    name: 'GET /backing-app/notes',
    kind: 'server',
    service: 'poort',
    attributes: { ...http, 'http.route': '/backing-app/notes', 'url.scheme': 'http' },
  },
  {
    name: 'GET',
    kind: 'client',
    parent: 'GET /backing-app/notes',
    service: 'poort',
    attributes: { ...http, 'server.address': '127.0.0.1' },
  },
  {
    name: 'GET /notes',
    kind: 'server',
    parent: 'GET',
    service: 'other',
    attributes: { ...http, 'http.route': '/notes', 'url.path': '/notes' },
  },
  {
    name: 'SELECT notes',
    kind: 'client',
    parent: 'GET /notes',
    service: 'other',
    attributes: { ...query, 'db.operation.name': 'SELECT', 'db.collection.name': 'notes' },
  },
];

const WRITE: Expected[] = [
  {
    name: 'POST /proof-telemetry',
    kind: 'server',
    service: 'poort',
    attributes: { ...http, 'http.request.method': 'POST', 'http.route': '/proof-telemetry' },
  },
  {
    name: 'INSERT notes',
    kind: 'client',
    parent: 'POST /proof-telemetry',
    service: 'poort',
    attributes: { ...query, 'db.operation.name': 'INSERT', 'db.collection.name': 'notes' },
  },
  {
    name: 'send expire-notes',
    kind: 'producer',
    parent: 'POST /proof-telemetry',
    service: 'poort',
    attributes: { ...job, 'messaging.operation.type': 'send' },
  },
  {
    name: 'process expire-notes',
    kind: 'consumer',
    parent: 'send expire-notes',
    service: 'worker',
    attributes: { ...job, 'messaging.operation.type': 'process', 'job.outcome': 'done' },
  },
  {
    name: 'DELETE notes',
    kind: 'client',
    parent: 'process expire-notes',
    service: 'worker',
    attributes: { ...query, 'db.operation.name': 'DELETE', 'db.collection.name': 'notes' },
  },
];

export async function proveTraces(tally: Tally, protocol: string): Promise<void> {
  await tally.check(`${protocol}: a request over two apps and a database is one trace`, () =>
    proveCall(protocol),
  );
  await tally.check(`${protocol}: a request, its write and its job in a worker are one trace`, () =>
    proveJob(protocol),
  );
}

async function proveCall(protocol: string): Promise<string> {
  await using receiver = await Receiver.start();
  {
    const environment = { ...attach(receiver, protocol), OTEL_SERVICE_NAME: 'other' };
    await using other = await startApp({ postgres: true, environment });
    await using app = await startApp({
      environment: { ...attach(receiver, protocol), BACKING_APP_URL: other.url },
    });
    const answer = await fetch(`${app.url}/backing-app/notes?limit=7`);
    assert.equal(answer.status, 200);
  }
  assert.doesNotMatch(JSON.stringify(receiver.spans), /limit=7/, 'a query of a URL');
  return checkTrace(receiver.spans, CALL);
}

async function proveJob(protocol: string): Promise<string> {
  await using receiver = await Receiver.start();
  {
    await using scene = await Scene.create();
    const environment = attach(receiver, protocol);
    const worker = await scene.startWorker({
      ...environment,
      OTEL_SERVICE_NAME: 'worker',
      NOTES_KEEP_DAYS: '1',
    });
    const web = await scene.startWeb(environment);
    const answer = await fetch(`${web.url}/proof-telemetry`, { method: 'POST' });
    assert.equal(answer.status, 200);
    await worker.waitForLine('job done');
  }
  assert.doesNotMatch(JSON.stringify(receiver.spans), /hunter2/, 'a value of a statement');
  return checkTrace(receiver.spans, WRITE);
}

/**
 * Checks that all spans belong to one trace, each expected one exists once, and none has failed.
 */
function checkTrace(spans: ReceivedSpan[], expected: Expected[]): string {
  const names = spans.map(({ name }) => name).join(', ');
  assert.equal(new Set(spans.map(({ traceId }) => traceId)).size, 1, names);
  const find = (name: string) => {
    const found = spans.filter((span) => span.name === name);
    assert.equal(found.length, 1, `${found.length} of ${name} among ${names}`);
    return found[0]!;
  };
  for (const { name, kind, parent, service, attributes } of expected) {
    const span = find(name);
    assert.equal(span.parentSpanId, parent ? find(parent).spanId : '', name);
    assert.deepEqual([span.scope, span.schemaUrl], ['poort', SCHEMA], name);
    assert.deepEqual([span.kind, span.service, span.status], [KINDS[kind], service, 0], name);
    for (const [key, value] of Object.entries(attributes))
      assert.equal(String(span.attributes[key]), value, `${key} of ${name}`);
  }
  return names;
}
