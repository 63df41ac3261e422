import { setTimeout as sleep } from 'node:timers/promises';
import { metrics, trace } from '@opentelemetry/api';
import { TracerProvider } from '@opentelemetry/sdk-trace';
import { test } from 'tap';
import { startCollector } from '../../fixture/collector.ts';
import {
  buildTestApp,
  captureLog,
  DOWN,
  type Environment,
  poll,
  startProcess,
} from '../../helper.ts';
import { attach, stop } from './attach.ts';

test('Metrics tell of requests and of the pool, each worker by itself', async (t) => {
  const collector = await startCollector(t);
  const environment = {
    ...attach(collector),
    DATABASE_URL: DOWN,
    OTEL_TRACES_SAMPLER: 'always_off',
  };
  const web = await startProcess(t, { entry: 'web', source: 'src', environment });
  const again = await startProcess(t, { entry: 'web', environment });
  await fetch(`${web.url}/`);
  await fetch(`${again.url}/nowhere`);
  await Promise.all([stop(web), stop(again)]);

  const find = (name: string) => collector.metrics.filter((metric) => metric.name === name);
  const [duration] = find('http.server.request.duration');
  t.match(duration, { unit: 's', points: [{ count: 1, explicitBounds: Array }] });
  const [connections] = find('db.client.connection.count');
  t.match(connections, { unit: '{connection}', points: [{ asInt: Number }, { asInt: Number }] });
  t.match(find('db.client.connection.pending_requests')[0], { unit: '{request}' });
  const instances = collector.metrics.map(({ resource }) => resource['service.instance.id']);
  t.equal(new Set(instances).size, 2);
  t.strictSame(collector.spans, []);
});

test('A collector that fails is said once, and once more when it is back', async (t) => {
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
  const environment = { ...attach(collector), DATABASE_URL: DOWN };
  const web = await startProcess(t, { entry: 'web', source: 'src', environment });
  for (let count = 0; count < 5; count++) await fetch(`${web.url}/`);
  await web.waitForLine('The collector is back');
  await stop(web);
  const said = web.lines.filter(({ msg }) => msg.startsWith('The collector'));
  t.match(said, [{ level: 40, err: {} }, { level: 30 }]);
});

test('A collector that is away is said at the first attempt', async (t) => {
  const environment = { ...attach({ url: 'http://127.0.0.1:1' }), DATABASE_URL: DOWN };
  const web = await startProcess(t, { entry: 'web', source: 'src', environment });
  const startedAt = performance.now();
  await web.waitForLine('The collector fails');
  t.ok(performance.now() - startedAt < 5_000);
  t.equal(await stop(web), 0);
});

test('Retry-After is honoured where it is longer than an export may take', async (t) => {
  const date = () => new Date(Date.now() + 60_000).toUTCString();
  for (const retryAfter of ['60', date()]) {
    const collector = await startCollector(t);
    collector.answer = (response) => response.writeHead(429, { 'retry-after': retryAfter }).end();
    const environment = {
      ...attach(collector),
      DATABASE_URL: DOWN,
      OTEL_EXPORTER_OTLP_TIMEOUT: '1000',
      OTEL_TRACES_SAMPLER: 'always_off',
    };
    const web = await startProcess(t, { entry: 'web', source: 'src', environment });
    await web.waitForLine('The collector fails');
    await sleep(2_000);
    t.equal(await stop(web), 0);
    t.equal(collector.requests.length, 1, retryAfter);
  }
});

test('A collector that does not answer keeps nobody', async (t) => {
  const collector = await startCollector(t);
  collector.answer = () => undefined;
  const environment = { ...attach(collector), DATABASE_URL: DOWN };
  const web = await startProcess(t, { entry: 'web', source: 'src', environment });
  t.equal((await fetch(`${web.url}/`)).status, 200);
  await poll(() => collector.requests.length > 0);
  t.equal(await stop(web), 0);
});

test('By protobuf, sampled in part, under any name', async (t) => {
  const collector = await startCollector(t);
  collector.answer = (response) => response.writeHead(204).end();
  const environment = {
    ...attach(collector),
    OTEL_EXPORTER_OTLP_PROTOCOL: '',
    OTEL_TRACES_SAMPLER: 'parentbased_traceidratio',
    OTEL_TRACES_SAMPLER_ARG: '1.0',
    OTEL_PROPAGATORS: 'none',
    DATABASE_URL: DOWN,
  };
  const web = await startProcess(t, { entry: 'web', source: 'src', environment });
  await fetch(`${web.url}/`);
  await stop(web);
  t.ok(collector.requests.includes('/v1/traces'));
  t.ok(collector.requests.includes('/v1/metrics'));
});

test('Where an agent has started OpenTelemetry, the app leaves it to that', async (t) => {
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

/** Writes the address of each module of OpenTelemetry to stderr when it is loaded. */
const HOOK = `
  import { registerHooks } from 'node:module';
  registerHooks({
    load(url, context, next) {
      if (url.includes('/@opentelemetry/')) process.stderr.write(url + '\\n');
      return next(url, context);
    },
  });`;

test('Without a collector, or with OTEL_SDK_DISABLED, no SDK is loaded', async (t) => {
  const collector = await startCollector(t);
  const listPackages = async (environment: Environment) => {
    const node = [process.execPath, '--import', `data:text/javascript,${encodeURIComponent(HOOK)}`];
    const settings = { DATABASE_URL: DOWN, SHUTDOWN_DELAY_MS: '0', ...environment };
    const web = await startProcess(t, { entry: 'web', source: 'src', node, environment: settings });
    t.equal((await fetch(`${web.url}/`)).status, 200);
    await stop(web);
    const names = web.noise.map((line) => /@opentelemetry\/([\w-]+)/.exec(line)?.[1]);
    return [...new Set(names)].filter((name) => name !== 'api');
  };
  for (const environment of UNATTACHED) t.strictSame(await listPackages(environment), []);
  t.ok((await listPackages(attach(collector))).includes('sdk-trace'));
});
