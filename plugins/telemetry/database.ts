import { type Attributes, SpanKind, TraceFlags, trace, ValueType } from '@opentelemetry/api';
import type { FastifyInstance } from 'fastify';
import type { LogEvent } from 'kysely';
import { watchChannels } from './channels.ts';
import { describeServer, getMeter, getTracer, MAX_LENGTH, recordError } from './conventions.ts';

// Matches what may contain values: texts (E'' can have backslashes), texts between $tags$, comments
// and numbers. Quoted names are matched first, to keep them. $1 is a parameter: it shows no value.
const LITERALS = new RegExp(
  [
    '("(?:[^"]|"")*(?:"|$))',
    "(?<=\\be)'(?:[^'\\\\]|\\\\.|''|'[^\\S\\n]*\\n\\s*')*(?:'|$)",
    "'(?:[^']|'')*(?:'|$)",
    '\\$(?<![\\w$]\\$)((?:[a-z_\\x80-\\uffff][\\w\\x80-\\uffff]*)?)\\$.*?(?:\\$\\2\\$|$)',
    // A comment within a comment is rare: then the rest is hidden.
    '--[^\\n]*|/\\*(?:(?!/\\*).)*?\\*/|/\\*.*',
    '(?<![\\w$])(?:\\d[\\w.]*|\\.\\d\\w*)(?:(?<=e)[+-]\\d+)?',
  ].join('|'),
  'gis',
);

/** The usual uses of `from` before no table: in functions and comparisons, or before a function. */
const OTHER_FROM = new RegExp(
  [
    '\\b(?:extract|trim|substring|overlay) ?\\([^()]*\\bfrom',
    'distinct from',
    'from lateral\\b',
    'from (?:"[^"]+"|[\\w.])+\\(',
  ].join('|'),
  'gi',
);

/** Matches the first table: `notes`, `"notes"` or `"public"."notes"`. */
const COLLECTION = /\b(?:from|into|update) (?:only )?((?:"[^"]+"|[\w.])+)/i;

/** Matches PostgreSQL's error codes. Node's error codes of this length have no digit. */
const SQLSTATE = /^(?=.*\d)[\dA-Z]{5}$/;

const SYSTEM = 'postgresql';

/** Records a client span for each query in a trace. Queries of health checks are in none. */
export function recordQueries(app: FastifyInstance): void {
  const tracer = getTracer();
  const database = describeDatabase(Reflect.get(app.config, 'DATABASE_URL'));
  const record = ({ query, queryDurationMillis, ...event }: LogEvent) => {
    // After the answer, the span of the request has ended, but not its trace.
    const flags = trace.getActiveSpan()?.spanContext().traceFlags ?? TraceFlags.NONE;
    if (!(flags & TraceFlags.SAMPLED)) return;
    const statement = describeStatement(query.sql);
    const target = statement['db.collection.name'] ?? database['db.namespace'];
    const name = [statement['db.operation.name'], target].filter(Boolean).join(' ') || SYSTEM;
    const attributes = { ...database, ...statement };
    const startTime = Date.now() - queryDurationMillis;
    const span = tracer.startSpan(name, { kind: SpanKind.CLIENT, attributes, startTime });
    if (event.level === 'error') {
      const type = recordError(span, event.error);
      if (SQLSTATE.test(type)) span.setAttribute('db.response.status_code', type);
    }
    span.end();
  };
  // plugins/database publishes Kysely's log event of each query.
  watchChannels<LogEvent>(app, { 'kysely:query': record });
}

/** Records the used and idle connections of the pool, and the queries that wait for one. */
export function recordPool(app: FastifyInstance): void {
  const create = (name: string, unit: string) =>
    getMeter().createObservableUpDownCounter(name, { unit, valueType: ValueType.INT });
  const attributes = { 'db.client.connection.pool.name': 'database' };
  app.addHook('onReady', async () => {
    // The embedded database has no pool, and an app may have no database.
    const pool = Reflect.get(app, 'databasePool');
    if (!pool) return;
    create('db.client.connection.count', '{connection}').addCallback((result) => {
      const { totalCount, idleCount } = pool;
      const used = totalCount - idleCount;
      result.observe(idleCount, { ...attributes, 'db.client.connection.state': 'idle' });
      result.observe(used, { ...attributes, 'db.client.connection.state': 'used' });
    });
    create('db.client.connection.pending_requests', '{request}').addCallback((result) =>
      result.observe(pool.waitingCount, attributes),
    );
  });
}

/** The embedded database has no server. With `?host=`, the server is not the one in the URL. */
function describeDatabase(url = ''): Attributes {
  const { hostname, port, pathname = '', searchParams } = URL.parse(url) ?? {};
  if (!hostname || searchParams?.has('host')) return { 'db.system.name': SYSTEM };
  return {
    'db.system.name': SYSTEM,
    'db.namespace': decodeURIComponent(pathname.slice(1)),
    ...describeServer(hostname, port || 5432),
  };
}

/** Returns the attributes of a statement: its operation, first table, and text without values. */
export function describeStatement(sql: string): Attributes {
  const text = sql
    .slice(0, MAX_LENGTH)
    .replace(LITERALS, (_literal, name: string | undefined) => name ?? '?');
  const operation = /^[\s?(]*(\w+)/.exec(text)?.[1]?.toUpperCase();
  const collection = COLLECTION.exec(text.replace(OTHER_FROM, ''))?.[1]?.replaceAll('"', '');
  return {
    'db.query.text': text,
    ...(operation && { 'db.operation.name': operation }),
    ...(collection && { 'db.collection.name': collection }),
  };
}
