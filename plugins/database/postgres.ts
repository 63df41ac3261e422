import pg from 'pg';
import manifest from '../../package.json' with { type: 'json' };

export interface PostgresOptions {
  url: string;
  /** Overrules what the URL says of TLS. */
  tls?: 'off' | 'verify' | 'no-verify' | undefined;
  /** The most connections. */
  max: number;
  /** How long a connection may take, in milliseconds. */
  connectTimeoutMs: number;
  /** How long a statement may take, in milliseconds; 0 for ever. */
  statementTimeoutMs: number;
  /** Hears of connections that broke while nobody used them. */
  onIdleError(error: Error): void;
}

const TLS = {
  off: false,
  verify: { rejectUnauthorized: true },
  'no-verify': { rejectUnauthorized: false },
};

/** PostgreSQL by a pool that survives its server: what is broken is thrown away, and the next query connects anew. */
export function createPool(options: PostgresOptions): pg.Pool {
  const { url, tls, max, connectTimeoutMs, statementTimeoutMs, onIdleError } = options;
  const pool = new ShortQueuePool({
    connectionString: tls ? withoutTls(url) : url,
    ...(tls && { ssl: TLS[tls] }),
    Client: ImpatientClient,
    max,
    application_name: manifest.name,
    keepAlive: true,
    connectionTimeoutMillis: connectTimeoutMs,
    query_timeout: statementTimeoutMs,
    // pg would send statement_timeout among the options of a new connection, where PgBouncer refuses it. The pool
    // throws a connection away that fails here; Kysely's onCreateConnection would lose its place in the pool for ever.
    onConnect: (client: pg.ClientBase) =>
      client.query(`set statement_timeout to ${statementTimeoutMs}`),
  });
  // Without a listener, the error of a connection that nobody uses ends the process.
  pool.on('error', onIdleError);
  return pool;
}

/** What the URL says of TLS would win over the setting. */
function withoutTls(url: string): string {
  const parsed = new URL(url);
  for (const name of ['sslmode', 'ssl', 'sslcert', 'sslkey', 'sslrootcert'])
    parsed.searchParams.delete(name);
  return parsed.href;
}

/** How many requests may wait for each connection: those behind them would wait longer than a client does. */
const QUEUE_PER_CONNECTION = 20;

/** Under more load than the database can take, all requests would wait in the queue until they are too late. */
class ShortQueuePool extends pg.Pool {
  // biome-ignore lint/suspicious/noExplicitAny: pg overloads connect in two ways, both passed on.
  override connect(...args: any[]): any {
    const { waitingCount, options } = this;
    if (waitingCount < options.max * QUEUE_PER_CONNECTION)
      return Reflect.apply(super.connect, this, args);
    throw new Error(
      `${waitingCount} requests wait for a connection to the database already: timeout expected`,
    );
  }
}

/**
 * pg gives a connection back to its pool although the answer that came too late is still on its way: the next request
 * would wait for it. statement_timeout alone does not help, a stopped server keeps no time.
 */
class ImpatientClient extends pg.Client {
  constructor(config?: string | pg.ClientConfig) {
    super(config);
    // The pool listens to idle connections only. One that breaks in use rejects its query, and its event would end the
    // process.
    this.on('error', () => undefined);
  }

  // biome-ignore lint/suspicious/noExplicitAny: pg overloads query in ten ways, all passed on.
  override query(...args: any[]): any {
    const result: unknown = Reflect.apply(super.query, this, args);
    if (result instanceof Promise)
      result.catch((error) => (isLast(error) ? this.end() : undefined));
    return result;
  }
}

/** Whether nothing more comes from a connection after this error: 57P is a server that shuts down or ends the session. */
function isLast({ message, code = '' }: Error & { code?: string | undefined }): boolean {
  return message === 'Query read timeout' || code.startsWith('57P');
}

/**
 * SQLSTATEs that mean "not now": 08 connection exception, 25006 read-only (a failover), 28 and 3D a server that does
 * not know us (yet), 53 insufficient resources, 57 operator intervention (shutdown, statement_timeout).
 * https://www.postgresql.org/docs/current/errcodes-appendix.html
 */
const UNAVAILABLE = /^(08|25006|28|3D|53|57)/;

/** What pg itself says, without a code, of connections that broke and answers that do not come. */
const DISCONNECTED = /timeout|terminated|not queryable|SSL/;

/** Whether an error of a query says that the database is away or stuck, rather than that the query is wrong. */
export function isUnavailable(
  error: Error & { code?: string | undefined; syscall?: string },
): boolean {
  if (error instanceof pg.DatabaseError) return UNAVAILABLE.test(error.code ?? '');
  return (
    error.syscall !== undefined ||
    isTls(error) ||
    error instanceof AggregateError ||
    DISCONNECTED.test(error.message)
  );
}

/** An error of connecting, with what to do about a certificate that was refused. */
export function explainTls(error: Error): Error {
  if (!isTls(error)) return error;
  return new Error(
    `TLS to the database failed: ${error.message}. Set DATABASE_TLS=no-verify to connect without a check of the ` +
      'certificate (Heroku Postgres needs that), or DATABASE_TLS=off where the server speaks no TLS.',
    { cause: error },
  );
}

/** Node's codes of refused certificates, what pg says of a server without TLS, and a server of a client without it. */
function isTls({ code = '', message }: Error & { code?: string | undefined }): boolean {
  return (
    /CERT|^UNABLE_TO_VERIFY|^ERR_TLS|^ERR_SSL/.test(code) ||
    /SSL connections|no encryption|SSL off/.test(message)
  );
}
