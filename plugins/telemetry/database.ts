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
import manifest from '../../package.json' with { type: 'json' };
import { POOL_CONNECTIONS, POOL_NAME, POOL_STATE, POOL_WAITING } from './conventions.ts';
import { listen } from './listen.ts';
import { recordError } from './record-error.ts';

/** plugins/database publishes what Kysely logs of each query. */
const QUERIES = 'kysely:query';

/** Longer statements are cut, in characters. */
const MAX_STATEMENT_LENGTH = 4_096;

/**
 * What may hold values: texts (E'' has backslashes in it), texts between $tags$, comments and numbers. Names in quotes
 * come first and stay; $1 is a parameter, whose value is not in the text.
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

/** What is read of pg's pool. */
interface Pool {
  totalCount: number;
  idleCount: number;
  waitingCount: number;
}

/** A client span for each query within a trace: what a health check asks makes none. */
export function recordQueries(app: FastifyInstance): void {
  const tracer = trace.getTracer(manifest.name, manifest.version);
  const record = (message: unknown) => {
    if (!trace.getActiveSpan()) return;
    const { query, queryDurationMillis, ...event } = message as LogEvent;
    const attributes = describeStatement(query.sql);
    const { 'db.operation.name': operation, 'db.collection.name': collection } = attributes;
    const span = tracer.startSpan([operation, collection].filter(Boolean).join(' '), {
      kind: SpanKind.CLIENT,
      attributes,
      startTime: Date.now() - queryDurationMillis,
    });
    if (event.level === 'error') recordError(span, event.error as Error);
    span.end();
  };
  listen(app, { [QUERIES]: record });
}

/** The connections of the pool, in use and idle, and the queries that wait for one. */
export function recordPool(app: FastifyInstance): void {
  const meter = metrics.getMeter(manifest.name);
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

function describeStatement(sql: string): Attributes {
  const text = sql
    .slice(0, MAX_STATEMENT_LENGTH)
    .replace(LITERALS, (_literal, name: string | undefined) => name ?? '?');
  const [operation = ''] = /^\w+/.exec(text.trimStart()) ?? [];
  const [, collection] = /\b(?:from|into|update) (?:only )?"?([\w.]+)/i.exec(text) ?? [];
  return {
    'db.system.name': 'postgresql',
    'db.query.text': text,
    'db.operation.name': operation.toUpperCase(),
    ...(collection && { 'db.collection.name': collection }),
  };
}
