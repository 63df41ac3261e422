import { type Attributes, SpanKind, trace, ValueType } from '@opentelemetry/api';
import type { FastifyInstance } from 'fastify';
import type { LogEvent } from 'kysely';
import {
  describeServer,
  getMeter,
  getTracer,
  MAX_VALUE_LENGTH,
  recordError,
} from './conventions.ts';
import { listen } from './listen.ts';

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

/** A client span for each query within a trace: what a health check asks makes none. */
export function recordQueries(app: FastifyInstance): void {
  const tracer = getTracer();
  const database = describeDatabase(Reflect.get(app.config, 'DATABASE_URL'));
  const record = ({ query, queryDurationMillis, ...event }: LogEvent) => {
    // What is not sampled is not described either.
    if (!trace.getActiveSpan()?.isRecording()) return;
    const statement = describeStatement(query.sql);
    const target = statement['db.collection.name'] ?? database['db.namespace'];
    const name = [statement['db.operation.name'], target].filter(Boolean).join(' ') || SYSTEM;
    const attributes = { ...database, ...statement };
    const startTime = Date.now() - queryDurationMillis;
    const span = tracer.startSpan(name, { kind: SpanKind.CLIENT, attributes, startTime });
    if (event.level === 'error') {
      const error = event.error as Error & { code?: string };
      recordError(span, error);
      if (SQLSTATE.test(error.code ?? '')) span.setAttribute('db.response.status_code', error.code);
    }
    span.end();
  };
  // plugins/database publishes what Kysely logs of each query.
  listen<LogEvent>(app, { 'kysely:query': record });
}

/** The connections of the pool, in use and idle, and the queries that wait for one. */
export function recordPool(app: FastifyInstance): void {
  const create = (name: string, unit: string) =>
    getMeter().createObservableUpDownCounter(name, { unit, valueType: ValueType.INT });
  const attributes = { 'db.client.connection.pool.name': 'database' };
  app.addHook('onReady', async () => {
    // The embedded database has no pool, and an app can do without a database.
    const pool = Reflect.get(app, 'databasePool');
    if (!pool) return;
    create('db.client.connection.count', '{connection}').addCallback((result) => {
      const { totalCount, idleCount } = pool;
      result.observe(idleCount, { ...attributes, 'db.client.connection.state': 'idle' });
      result.observe(totalCount - idleCount, {
        ...attributes,
        'db.client.connection.state': 'used',
      });
    });
    create('db.client.connection.pending_requests', '{request}').addCallback((result) =>
      result.observe(pool.waitingCount, attributes),
    );
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

/** A statement as a span has it: its first table, and its text without the values in it. */
export function describeStatement(sql: string): Attributes {
  const text = sql
    .slice(0, MAX_VALUE_LENGTH)
    .replace(LITERALS, (_literal, name: string | undefined) => name ?? '?');
  const operation = /^\s*(\w+)/.exec(text)?.[1]?.toUpperCase();
  const collection = COLLECTION.exec(text)?.[1]?.replaceAll('"', '');
  return {
    'db.query.text': text,
    ...(operation && { 'db.operation.name': operation }),
    ...(collection && { 'db.collection.name': collection }),
  };
}
