import { execFile } from 'node:child_process';
import cluster from 'node:cluster';
import { promisify } from 'node:util';
import { metrics, trace } from '@opentelemetry/api';
import { TracerProvider } from '@opentelemetry/sdk-trace';
import { type Test, test } from 'tap';
import { startCollector } from '../../fixture/collector.ts';
import { buildTestApp, captureLog, DOWN, type Environment, poll, REQUIRED } from '../../helper.ts';
import { attach, flushMetrics } from './attach.ts';

/** Starts an app that sends to the collector. */
async function start(t: Test, environment: Environment) {
  const { logger, lines } = captureLog();
  const app = await buildTestApp(t, { DATABASE_URL: DOWN, ...environment }, { logger });
  return { app, lines, url: await app.listen({ host: '127.0.0.1', port: 0 }) };
}

test('Metrics count requests, each process for itself', async (t) => {
  const collector = await startCollector(t);
  const environment = { ...attach(collector), OTEL_TRACES_SAMPLER: 'always_off' };
  const listDurations = () =>
    collector.metrics.filter(({ name }) => name === 'http.server.request.duration');
  for (const path of ['/', '/nowhere']) {
    const { app, url } = await start(t, environment);
    await fetch(url + path);
    await poll(() => listDurations().length > 0);
    await app.close();
  }

  const [duration] = listDurations();
  t.match(duration, { unit: 's', points: [{ count: 1, explicitBounds: Array }] });
  const instances = collector.metrics.map(({ resource }) => resource['service.instance.id']);
  t.equal(new Set(instances).size, 2);
  t.strictSame(collector.spans, []);
});

test('Workers share no instance id, although they share the environment', async (t) => {
  const collector = await startCollector(t);
  t.intercept(cluster, 'worker', { value: { id: 3 } });
  const OTEL_RESOURCE_ATTRIBUTES = 'service.instance.id=pod-1';
  const { app, url } = await start(t, { ...attach(collector), OTEL_RESOURCE_ATTRIBUTES });
  await fetch(url);
  await poll(() => collector.metrics.length > 0);
  await app.close();
  t.match(collector.metrics[0]?.resource, { 'service.instance.id': 'pod-1/3' });
});

test('A collector that fails is logged once, and once when it is back', async (t) => {
  const collector = await startCollector(t);
  const answers = [
    { status: 503, body: '' },
    { status: 401, body: 'no' },
    { status: 200, body: '<html>' },
  ];
  collector.answer = (response) => {
    const { status, body } = answers.shift() ?? { status: 200, body: '{}' };
    response
      .writeHead(status, { 'content-type': 'application/json', 'retry-after': '1' })
      .end(body);
  };
  const { app, lines, url } = await start(t, attach(collector));
  for (let count = 0; count < 5; count++) await fetch(url);
  await poll(() => lines.some(({ msg }) => msg === 'The collector is back'));
  await app.close();
  const said = lines.filter(({ msg }) => msg.startsWith('The collector'));
  t.match(said, [{ level: 40, err: {} }, { level: 30 }]);
  t.notOk(
    said.some(({ traceId }) => traceId),
    'it is not about the trace of one request',
  );
});

test('A collector that is down is logged at the first attempt', async (t) => {
  const startedAt = performance.now();
  const environment = {
    ...attach({ url: 'http://127.0.0.1:1' }),
    OTEL_EXPORTER_OTLP_TIMEOUT: '60000',
  };
  const { app, lines, url } = await start(t, environment);
  await fetch(url);
  await poll(() => lines.some(({ msg }) => msg.startsWith('The collector fails')));
  t.ok(performance.now() - startedAt < 30_000, 'and not after its time-out');
  await app.close();
});

test("A Retry-After longer than an export's time-out is honoured", async (t) => {
  const date = () => new Date(Date.now() + 60_000).toUTCString();
  for (const retryAfter of ['60', date()]) {
    const collector = await startCollector(t);
    collector.answer = (response) => response.writeHead(429, { 'retry-after': retryAfter }).end();
    const environment = {
      ...attach(collector),
      OTEL_METRIC_EXPORT_INTERVAL: '3600000',
      OTEL_EXPORTER_OTLP_TIMEOUT: '1000',
      OTEL_TRACES_SAMPLER: 'always_off',
    };
    const { app, lines, url } = await start(t, environment);
    await fetch(url);
    await flushMetrics();
    await poll(() => lines.some(({ msg }) => msg.startsWith('The collector fails')));
    await flushMetrics();
    await app.close();
    t.equal(collector.requests.length, 1, retryAfter);
  }
});

test('A collector that does not answer does not delay the end', async (t) => {
  const collector = await startCollector(t);
  collector.answer = () => undefined;
  const environment = { ...attach(collector), OTEL_EXPORTER_OTLP_TIMEOUT: '3000' };
  const { app, url } = await start(t, environment);
  t.equal((await fetch(url)).status, 200);
  await poll(() => collector.requests.length > 0);
  const startedAt = performance.now();
  await app.close();
  t.ok(performance.now() - startedAt < 10_000);
});

test('Telemetry works with protobuf, ratio sampling and no propagators', async (t) => {
  const collector = await startCollector(t);
  collector.answer = (response) => response.writeHead(204).end();
  const environment = {
    ...attach(collector),
    OTEL_EXPORTER_OTLP_PROTOCOL: '',
    OTEL_TRACES_SAMPLER: 'parentbased_traceidratio',
    OTEL_TRACES_SAMPLER_ARG: '1.0',
    OTEL_PROPAGATORS: 'none',
  };
  const { app, url } = await start(t, environment);
  await fetch(url);
  await poll(() => new Set(collector.requests).size === 2);
  await app.close();
  t.strictSame([...new Set(collector.requests)].sort(), ['/v1/metrics', '/v1/traces']);
});

test('If an agent has started OpenTelemetry, the app logs a warning and starts none', async (t) => {
  trace.setGlobalTracerProvider(new TracerProvider());
  t.teardown(() => trace.disable());
  const { logger, lines } = captureLog();
  const environment = { DATABASE_URL: DOWN, OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:1' };
  await buildTestApp(t, environment, { logger });
  t.match(
    lines.filter(({ level }) => level === 40),
    [{ msg: /agent/ }],
  );
});

const UNATTACHED = [
  {},
  { OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:1', OTEL_SDK_DISABLED: 'True' },
];

test('Without a collector, or with OTEL_SDK_DISABLED, the API does nothing', async (t) => {
  for (const environment of UNATTACHED) {
    await buildTestApp(t, { DATABASE_URL: DOWN, ...environment });
    t.notOk(trace.getTracer('own').startSpan('own').isRecording());
    metrics.getMeter('own').createCounter('own').add(1);
  }
});

/** Builds an app in each environment, and prints the OpenTelemetry packages that it loads. */
const BUILD_APPS = `
  import { registerHooks } from 'node:module';
  let packages = [];
  registerHooks({
    load(url, context, next) {
      packages.push(/@opentelemetry\\/([\\w-]+)/.exec(url)?.[1]);
      return next(url, context);
    },
  });
  const { buildApp } = await import('${import.meta.resolve('../../../src/app.ts')}');
  for (const environment of JSON.parse(process.argv[1])) {
    await buildApp({ environment });
    console.log(JSON.stringify([...new Set(packages)]));
    packages = [];
  }
  process.exit();`;

/** Routes may load the API, which does nothing without the SDK. */
const isPackage = (name: string | null) => name && name !== 'api';

test('Without a collector, or with OTEL_SDK_DISABLED, no SDK is loaded', async (t) => {
  const environments = [...UNATTACHED, attach({ url: 'http://127.0.0.1:1' })].map((settings) => ({
    ...REQUIRED,
    LOG_LEVEL: 'silent',
    ...settings,
  }));
  const args = ['--input-type=module', '-e', BUILD_APPS, JSON.stringify(environments)];
  const { stdout } = await promisify(execFile)(process.execPath, args);
  const [first, second, attached] = stdout.split('\n', 3).map((line) => JSON.parse(line));
  for (const packages of [first, second]) t.strictSame(packages.filter(isPackage), []);
  t.ok(attached.includes('sdk-trace'));
});
