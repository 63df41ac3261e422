import { once } from 'node:events';
import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import manifest from '../../package.json' with { type: 'json' };
import { OperatorError } from '../../src/operator-error.ts';
import type { SqlError } from './translate-error.ts';
import { DatabaseUnavailable } from './unavailable.ts';
import { applyTls, type Tls } from './url.ts';

export interface PostgresOptions {
  url: string;
  /** Overrules what the URL says of TLS. */
  tls?: Tls | undefined;
  /** The most connections. */
  max: number;
  connectTimeoutMs: number;
  /** 0 is forever. */
  statementTimeoutMs: number;
  /** Hears of connections that broke while nobody used them. */
  onIdleError(error: Error): void;
}

/**
 * A pool that survives its server: what is broken is thrown away, and the next query connects
 * again. No session is given a state, so that a transaction pooler may be in between.
 */
export function createPool(options: PostgresOptions): pg.Pool {
  const connectionString = applyTls(options.url, options.tls);
  checkUrl(connectionString);
  const pool = new ShortQueuePool({
    connectionString,
    Client: ImpatientClient,
    max: options.max,
    application_name: manifest.name,
    keepAlive: true,
    connectionTimeoutMillis: options.connectTimeoutMs,
    query_timeout: options.statementTimeoutMs,
  });
  // Without a listener, the error of a connection that nobody uses ends the process.
  pool.on('error', options.onIdleError);
  return pool;
}

/** What is wrong in a URL, such as a missing file, would be an error of each query. */
function checkUrl(connectionString: string): void {
  try {
    new pg.Client({ connectionString });
  } catch (cause) {
    const { message } = cause as Error;
    const reason = `DATABASE_URL or DATABASE_DIRECT_URL cannot be used: ${message}`;
    throw new OperatorError(reason, { cause });
  }
}

export function isSqlError(error: Error): error is SqlError {
  return error instanceof pg.DatabaseError;
}

/** How long closing waits for a silent server, in milliseconds; pg would wait for 5 s. */
const END_TIMEOUT_MS = 500;

/** How many requests may wait for each connection: more would wait longer than a client does. */
const QUEUE_PER_CONNECTION = 20;

/** Under more load than the database takes, all requests would wait until they are too late. */
class ShortQueuePool extends pg.Pool {
  // biome-ignore lint/suspicious/noExplicitAny: pg overloads connect in two ways, both passed on.
  override connect(...args: any[]): any {
    const { waitingCount, options } = this;
    if (waitingCount >= options.max * QUEUE_PER_CONNECTION) {
      const reason = `${waitingCount} requests wait for a connection already`;
      throw new DatabaseUnavailable(new Error(reason));
    }
    const connecting = Reflect.apply(super.connect, this, args);
    return connecting?.catch((error: Error) => Promise.reject(new DatabaseUnavailable(error)));
  }

  override async end(): Promise<void> {
    await Promise.race([super.end(), sleep(END_TIMEOUT_MS, undefined, { ref: false })]);
  }

  /** For libraries with SQL of their own: pg's would pass by the errors of ImpatientClient. */
  // biome-ignore lint/suspicious/noExplicitAny: of pg's overloads, those that give a promise.
  override async query(...args: any[]): Promise<any> {
    const client = await this.connect();
    try {
      return await client.query(...args);
    } finally {
      client.release();
    }
  }
}

/** What pg says of a query whose answer is too late. */
const LATE = 'Query read timeout';

/** SQLSTATEs of a connection of no more use: broken, ended, of a primary that was demoted. */
const LAST = /^(08|57P|25006)/;

/**
 * pg gives a connection back to its pool although an answer that is too late is still on its way:
 * the next request would wait for it. Of statement_timeout, a stopped server knows nothing.
 */
class ImpatientClient extends pg.Client {
  declare processID: number;
  declare secretKey: number;
  readonly #cancelTimeoutMs: number;
  #broken = false;

  constructor(config: pg.PoolConfig = {}) {
    super(config);
    this.#cancelTimeoutMs = Number(config.connectionTimeoutMillis) / 2;
    // The pool listens to idle connections only: in use, the event would end the process.
    this.on('error', () => {
      this.#broken = true;
    });
  }

  // biome-ignore lint/suspicious/noExplicitAny: pg overloads query in ten ways, all passed on.
  override query(...args: any[]): any {
    const result: unknown = Reflect.apply(super.query, this, args);
    return result instanceof Promise ? result.catch((error) => this.#reject(error)) : result;
  }

  /** A connection that has ended is not taken back by the pool. */
  async #reject(error: Error & { code?: string | undefined }): Promise<never> {
    const isSql = isSqlError(error);
    if (error.message === LATE) await this.#cancel();
    else if (isSql ? error.code && !LAST.test(error.code) : !this.#broken) throw error;
    this.#broken = true;
    this.end();
    throw isSql ? error : new DatabaseUnavailable(error);
  }

  /** A CancelRequest (PostgreSQL, 55.2.8): poolers pass it on. Not encrypted, as in libpq 16. */
  async #cancel(): Promise<void> {
    const { host, port, processID, secretKey } = this;
    const message = Buffer.alloc(16);
    for (const [index, part] of [16, 80877102, processID, secretKey].entries())
      message.writeInt32BE(part, index * 4);
    const path = `${host}/.s.PGSQL.${port}`;
    const socket = host.startsWith('/') ? connect(path) : connect(port, host);
    socket.setTimeout(this.#cancelTimeoutMs, () => socket.destroy()).resume();
    // A pooler forgets the request of a client that is gone: the server closes first.
    socket.on('error', () => socket.destroy()).write(message);
    await once(socket, 'close').catch(() => undefined);
  }
}
