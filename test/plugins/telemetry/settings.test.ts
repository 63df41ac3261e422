import path from 'node:path';
import { ProxyTracerProvider, trace } from '@opentelemetry/api';
import { test } from 'tap';
import { readConfig } from '../../../src/app.ts';
import { startCollector } from '../../fixture/collector.ts';
import {
  buildTestApp,
  createFolder,
  DOWN,
  type Environment,
  poll,
  REQUIRED,
  writeFiles,
} from '../../helper.ts';
import { attach, closeAfterSpans } from './attach.ts';

const TRACE = '0af7651916cd43dd8448eb211c80319c';

const COLLECTOR = { ...REQUIRED, OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:1' };

const BAD = {
  OTEL_EXPORTER_OTLP_ENDPOINT: [
    'localhost:4318',
    'grpc://localhost',
    'http://',
    'http://a/?key=1',
    'http://a/#b',
    'http://a b',
    '4318',
    '"http://a"',
  ],
  OTEL_EXPORTER_OTLP_PROTOCOL: ['grpc', 'http', 'json', 'http/', 'protobuf', 'http/json,grpc', '0'],
  OTEL_EXPORTER_OTLP_HEADERS: [
    'Bearer abc',
    '=a',
    'a=1,b',
    'a b=1',
    'a=',
    'a=%',
    'a=%zz',
    'a=1;b=2',
    'a=1,',
    'a=%C3',
    'a=1%0Ab',
    'a=%E2%82%AC',
    'a(b=1',
    "'a=1'",
  ],
  OTEL_EXPORTER_OTLP_COMPRESSION: ['br', 'true', 'deflate', 'gzip,none', '9'],
  OTEL_EXPORTER_OTLP_TIMEOUT: ['0', '10s', '-1', '1.5', '1e3', '3600001', '0x10', 'none'],
  OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE: ['low_memory', '1', 'cumulative,delta'],
  OTEL_TRACES_EXPORTER: ['false', 'otlp,', 'jaeger', 'otlp;console'],
  OTEL_METRICS_EXPORTER: ['true', 'http', 'otlp console', '1'],
  OTEL_RESOURCE_ATTRIBUTES: [
    'staging',
    'a=1;b=2,c',
    '=1',
    'a',
    'a=1,,b=2',
    'a=%2',
    'a=%C3',
    ',',
    '"a=1"',
  ],
  OTEL_TRACES_SAMPLER: [
    'on',
    'jaeger_remote',
    'xray',
    'parentbased',
    'parentbased_',
    'always_on,always_off',
    'parentbased_parentbased_always_on',
    'traceidratio=0.1',
  ],
  OTEL_TRACES_SAMPLER_ARG: ['2', '-1', '10%', 'all', '.', '1.1', '0,1', 'NaN', '1e-2'],
  OTEL_METRIC_EXPORT_INTERVAL: ['0', '-5', '1m', '60000.0', 'Infinity', '3600001', '١', '"60000"'],
  OTEL_PROPAGATORS: [
    'b3',
    'tracecontext,none',
    'tracecontext;baggage',
    'tracecontext baggage',
    ',',
    'tracecontext,',
    'jaeger,tracecontext',
    'w3c',
  ],
  OTEL_SDK_DISABLED: ['yes', '1', '0', 'on', 'truee', 'true,false', 'null', "'true'"],
};

test('A bad OTEL_ value is an error of the environment', async (t) => {
  for (const [name, values] of Object.entries(BAD))
    for (const value of values) {
      const environment = { ...COLLECTOR, [name]: value };
      t.match(await readConfig(environment).catch((error) => error), { variables: [name] }, value);
    }
});

test('Without a collector, the values for an agent are not checked', async (t) => {
  for (const [name, values] of Object.entries(BAD))
    if (name !== 'OTEL_EXPORTER_OTLP_ENDPOINT')
      for (const value of values)
        t.ok(await readConfig({ ...REQUIRED, [name]: value }), `${name}=${value}`);
});

const GOOD = {
  OTEL_EXPORTER_OTLP_ENDPOINT: [
    '',
    ' https://user:key@collector.example:4318/base/ ',
    'http://[::1]',
  ],
  OTEL_EXPORTER_OTLP_PROTOCOL: ['', 'HTTP/JSON', ' http/protobuf '],
  OTEL_EXPORTER_OTLP_HEADERS: ['', 'Authorization=Basic YTpi==', 'a=1, b=%C3%A9'],
  OTEL_EXPORTER_OTLP_COMPRESSION: ['', 'GZIP'],
  OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE: ['', 'Delta', 'LowMemory'],
  OTEL_TRACES_EXPORTER: ['', 'OTLP', 'none', 'console', 'otlp, Console'],
  OTEL_METRICS_EXPORTER: ['', 'None', 'prometheus', 'otlp,prometheus'],
  OTEL_RESOURCE_ATTRIBUTES: ['', 'service.namespace=shop,deployment.environment.name=a%2Cb'],
  OTEL_TRACES_SAMPLER: ['', 'TRACEIDRATIO', 'ParentBased_Always_Off'],
  OTEL_TRACES_SAMPLER_ARG: ['', '0', '1', '0.25', '.5', '1.0', '0.0'],
  OTEL_PROPAGATORS: ['', 'NONE', 'baggage', 'baggage , TraceContext', 'baggage,baggage'],
  OTEL_SDK_DISABLED: ['', 'TRUE', 'False'],
};

test('A value may be in any case; an empty one counts as not set', async (t) => {
  for (const [name, values] of Object.entries(GOOD))
    for (const value of values)
      t.ok(await readConfig({ ...COLLECTOR, [name]: value }), `${name}=${value}`);
});

test("OpenTelemetry's settings come from the environment passed to the app", async (t) => {
  const collector = await startCollector(t);
  const elsewhere = {
    OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:1',
    OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: 'http://127.0.0.1:1',
    OTEL_EXPORTER_OTLP_HEADERS: 'api-key=elsewhere',
    OTEL_EXPORTER_OTLP_TRACES_HEADERS: 'api-key=elsewhere,signal=traces',
    OTEL_EXPORTER_OTLP_METRICS_HEADERS: 'signal=metrics',
    OTEL_EXPORTER_OTLP_COMPRESSION: 'none',
    OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE: 'cumulative',
    OTEL_SERVICE_NAME: 'elsewhere',
    OTEL_RESOURCE_ATTRIBUTES: 'service.namespace=elsewhere',
  };
  Object.assign(process.env, elsewhere);
  t.teardown(() => Object.keys(elsewhere).map((name) => delete process.env[name]));
  const app = await buildTestApp(t, {
    ...attach(collector),
    DATABASE_URL: DOWN,
    OTEL_EXPORTER_OTLP_ENDPOINT: `${collector.url}/base/`,
    OTEL_EXPORTER_OTLP_PROTOCOL: 'HTTP/JSON',
    OTEL_EXPORTER_OTLP_HEADERS: 'api-key=Basic%20a==, Other=b c',
    OTEL_EXPORTER_OTLP_COMPRESSION: 'gzip',
    OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE: 'DELTA',
    OTEL_SERVICE_NAME: 'shop',
    OTEL_RESOURCE_ATTRIBUTES: 'service.namespace=a%2Cb,service.name=other',
    OTEL_PROPAGATORS: 'Baggage',
  });
  const url = await app.listen({ host: '127.0.0.1', port: 0 });
  await fetch(url, { headers: { traceparent: `00-${TRACE}-b7ad6b7169203331-01` } });
  await closeAfterSpans(app, collector, 1);

  t.strictSame([...new Set(collector.requests)].sort(), ['/base/v1/metrics', '/base/v1/traces']);
  const names = ['api-key', 'other', 'content-encoding'];
  const sent = new Set(collector.headers.map((headers) => `${names.map((name) => headers[name])}`));
  t.strictSame([...sent], ['Basic a==,b c,gzip']);
  const signals = collector.headers.map(({ signal }) => `/base/v1/${signal}`);
  t.strictSame(signals, collector.requests, 'the headers of one signal are added');
  const resource = { 'service.name': 'shop', 'service.namespace': 'a,b' };
  t.match(collector.spans, [{ name: 'GET /', resource }]);
  t.not(collector.spans[0]?.traceId, TRACE);
  const duration = collector.metrics.find(({ name }) => name === 'http.server.request.duration');
  t.match(duration, { temporality: 1, resource });
});

test('With the exporter of traces or metrics off, only the other is sent', async (t) => {
  for (const signal of ['traces', 'metrics']) {
    const collector = await startCollector(t);
    const other = signal === 'traces' ? 'OTEL_METRICS_EXPORTER' : 'OTEL_TRACES_EXPORTER';
    const environment = { ...attach(collector), DATABASE_URL: DOWN, [other]: 'None' };
    const app = await buildTestApp(t, environment);
    await fetch(await app.listen({ host: '127.0.0.1', port: 0 }));
    await poll(() => collector.requests.length > 0);
    await app.close();
    t.strictSame([...new Set(collector.requests)], [`/v1/${signal}`]);
  }
});

test('A certificate that cannot be read keeps the app from starting', async (t) => {
  const environment = {
    DATABASE_URL: DOWN,
    OTEL_EXPORTER_OTLP_ENDPOINT: 'https://127.0.0.1:1',
    OTEL_EXPORTER_OTLP_CERTIFICATE: '/nowhere.pem',
  };
  const message = /^OTEL_EXPORTER_OTLP_CERTIFICATE .*ENOENT/;
  await t.rejects(buildTestApp(t, environment), { name: 'OperatorError', message });
  t.ok(
    trace.setGlobalTracerProvider(new ProxyTracerProvider()),
    'the attempt leaves nothing behind',
  );
  trace.disable();
});

test('A certificate that is none, and one without its key, keep the app from starting', async (t) => {
  const folder = await createFolder(t);
  const other = path.join(folder, 'other.pem');
  await writeFiles(folder, { 'other.pem': 'garbage', 'empty.pem': '-----BEGIN CERTIFICATE-----' });
  const empty = path.join(folder, 'empty.pem');
  const endpoint = { DATABASE_URL: DOWN, OTEL_EXPORTER_OTLP_ENDPOINT: 'https://127.0.0.1:1' };
  const rows: [Environment, RegExp][] = [
    [{ OTEL_EXPORTER_OTLP_CERTIFICATE: other }, /^OTEL_EXPORTER_OTLP_CERTIFICATE names a file/],
    [{ OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE: empty }, /OTEL_EXPORTER_OTLP_CLIENT_KEY/],
    [{ OTEL_EXPORTER_OTLP_CLIENT_KEY: empty }, /OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE/],
    [
      { OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE: empty, OTEL_EXPORTER_OTLP_CLIENT_KEY: empty },
      /^OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE and .* are no certificate and its key: /,
    ],
  ];
  for (const [environment, message] of rows)
    await t.rejects(buildTestApp(t, { ...endpoint, ...environment }), { message });
});
