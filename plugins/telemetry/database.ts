import {
  type Attributes,
  type BatchObservableResult,
  metrics,
  SpanKind,
  trace,
  ValueType,
} from '@opentelemetry/api';
import type { FastifyInstance } from 'fastify';
import type { LogEvent } from 'kysely';
import {
  describeServer,
  MAX_VALUE_LENGTH,
  POOL_CONNECTIONS,
  POOL_NAME,
  POOL_STATE,
  POOL_WAITING,
  SCOPE,
} from './conventions.ts';
import { listen } from './listen.ts';
import { recordError } from './record-error.ts';

/** plugins/database publishes what Kysely logs of each query. */
const QUERIES = 'kysely:query';

/**
 * What may hold values: texts (E'' has backslashes in it), texts between $tags$, comments and
 * numbers. Names in quotes come first and stay; $1 is a parameter, whose value is not in the text.
 */
const LITERALS = new RegExp(
  [
    '("(?:[^"]|"")*(?:"|$))',
    "(?<=\\be)'(?:[^'\\\\]|\\\\.|'')*(?:'|$)",
    "'(?:[^']|'')*(?:'|$)",
    '\\$(?<![\\w$]\\$)((?:[a-z_]\\w*)?)\\$.*?(?:\\$\\2\\$|$)',
    '--[^\\n]*|/\\*.*?(?:\\*/|$)',
    '(?<![\\w$])(?:\\d[\\w.]*|\\.\\d\\w*)(?:(?<=e)[+-]\\d+)?',
  ].join('|'),
  'gis',
);

/** The first table that is named: `notes`, `"notes"`, `"public"."notes"`. */
const COLLECTION = /\b(?:from|into|update) (?:only )?((?:"[^"]+"|[\w.])+)/i;

/** PostgreSQL's error codes; those of Node have no digit. */
const SQLSTATE = /^(?=.*\d)[\dA-Z]{5}$/;

const SYSTEM = 'postgresql';

/** What is read of pg's pool. */
interface Pool {
  totalCount: number;
  idleCount: number;
  waitingCount: number;
}

/** A client span for each query within a trace: what a health check asks makes none. */
export function recordQueries(app: FastifyInstance): void {
  const tracer = trace.getTracerProvider().getTracer(...SCOPE);
  const database = describeDatabase(Reflect.get(app.config, 'DATABASE_URL'));
  const record = (message: unknown) => {
    // What is not sampled is not described either.
    if (!trace.getActiveSpan()?.isRecording()) return;
    const { query, queryDurationMillis, ...event } = message as LogEvent;
    const { operation, collection, ...attributes } = describeStatement(query.sql);
    const target = collection ?? database['db.namespace'];
    const span = tracer.startSpan([operation, target].filter(Boolean).join(' ') || SYSTEM, {
      kind: SpanKind.CLIENT,
      attributes: { ...database, ...attributes },
      startTime: Date.now() - queryDurationMillis,
    });
    if (event.level === 'error') {
      const error = event.error as Error & { code?: string };
      recordError(span, error);
      if (SQLSTATE.test(error.code ?? ''))
        span.setAttribute('db.response.status_code', error.code as string);
    }
    span.end();
  };
  listen(app, { [QUERIES]: record });
}

/** The connections of the pool, in use and idle, and the queries that wait for one. */
export function recordPool(app: FastifyInstance): void {
  const meter = metrics.getMeter(...SCOPE);
  const create = (name: string, unit: string) =>
    meter.createObservableUpDownCounter(name, { unit, valueType: ValueType.INT });
  const connections = create(POOL_CONNECTIONS, '{connection}');
  const waiting = create(POOL_WAITING, '{request}');
  // The embedded database has no pool, and an app can do without a database.
  const readPool = (): Pool | undefined => Reflect.get(app, 'databasePool');
  const pool = { [POOL_NAME]: 'database' };
  const observe = (result: BatchObservableResult) => {
    const { totalCount, idleCount, waitingCount } = readPool() as Pool;
    result.observe(connections, idleCount, { ...pool, [POOL_STATE]: 'idle' });
    result.observe(connections, totalCount - idleCount, { ...pool, [POOL_STATE]: 'used' });
    result.observe(waiting, waitingCount, pool);
  };
  app.addHook('onReady', async () => {
    if (readPool()) meter.addBatchObservableCallback(observe, [connections, waiting]);
  });
}

/** The embedded database has no server; a URL with a Unix socket is none that can be read. */
function describeDatabase(url = ''): Attributes {
  const { hostname, port, pathname = '' } = URL.parse(url) ?? {};
  if (!hostname) return { 'db.system.name': SYSTEM };
  return {
    'db.system.name': SYSTEM,
    'db.namespace': decodeURIComponent(pathname.slice(1)),
    ...describeServer(hostname, port || 5432),
  };
}

function describeStatement(sql: string) {
  const text = sql
    .slice(0, MAX_VALUE_LENGTH)
    .replace(LITERALS, (_literal, name: string | undefined) => name ?? '?');
  const operation = /^\s*(\w+)/.exec(text)?.[1]?.toUpperCase();
  const collection = COLLECTION.exec(text)?.[1]?.replaceAll('"', '');
  return {
    operation,
    collection,
    'db.query.text': text,
    ...(operation && { 'db.operation.name': operation }),
    ...(collection && { 'db.collection.name': collection }),
  };
}
