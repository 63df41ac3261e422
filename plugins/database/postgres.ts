import { once } from 'node:events';
import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import manifest from '../../package.json' with { type: 'json' };
import { OperatorError } from '../../src/operator-error.ts';
import { DatabaseUnavailable, isSqlError } from './database-errors.ts';
import { applyTls, type Tls } from './url.ts';

/**
 * Creates a pool that survives a restart of the server: it drops broken connections, and the next
 * query connects again. Sessions have no state, so a transaction pooler may be in between.
 *
 * @param tls overrides the TLS settings of the URL
 * @param onIdleError called when an idle connection breaks
 */
export function createPool(
  url: string,
  tls: Tls | undefined,
  options: pg.PoolConfig,
  onIdleError: (error: Error) => void,
): pg.Pool {
  const connectionString = applyTls(url, tls);
  checkUrl(connectionString);
  const pool = new ShortQueuePool({
    connectionString,
    Client: ImpatientClient,
    application_name: manifest.name,
    keepAlive: true,
    ...options,
  });
  // Without a listener, the error of an idle connection ends the process.
  return pool.on('error', onIdleError);
}

/** Without this check, a mistake in the URL, such as a missing file, would fail each query. */
function checkUrl(connectionString: string): void {
  try {
    const { port } = new pg.Client({ connectionString });
    if (!(port > 0 && port < 65_536)) throw new Error('its port must be from 1 to 65535');
  } catch (cause) {
    const { message } = cause as Error;
    const reason = `DATABASE_URL or DATABASE_DIRECT_URL cannot be used: ${message}`;
    throw new OperatorError(reason, { cause });
  }
}

/** How long closing waits for a silent server, in milliseconds; pg would wait for 5 s. */
const END_TIMEOUT_MS = 500;

/** How many requests may wait for each connection. Clients would not wait for a longer queue. */
const QUEUE_PER_CONNECTION = 20;

/** Limits the queue: under too much load, all requests would otherwise wait until they time out. */
class ShortQueuePool extends pg.Pool {
  // biome-ignore lint/suspicious/noExplicitAny: connect has two overloads, and both are passed on.
  override connect(...args: any[]): any {
    const { waitingCount, options } = this;
    if (waitingCount >= options.max * QUEUE_PER_CONNECTION) {
      const reason = `${waitingCount} requests wait for a connection already`;
      const hint = `the pool has ${options.max} (DATABASE_POOL_MAX)`;
      throw new DatabaseUnavailable(new Error(`${reason}; ${hint}`));
    }
    const connecting = Reflect.apply(super.connect, this, args);
    return connecting?.catch((error: Error) => Promise.reject(new DatabaseUnavailable(error)));
  }

  override async end(): Promise<void> {
    if (this.ending) return;
    await Promise.race([super.end(), sleep(END_TIMEOUT_MS, undefined, { ref: false })]);
  }

  /** For libraries with their own SQL. pg's own method skips the errors of ImpatientClient. */
  // biome-ignore lint/suspicious/noExplicitAny: query has many overloads, and all are passed on.
  override async query(...args: any[]): Promise<any> {
    const callback = typeof args.at(-1) === 'function' && args.pop();
    if (callback)
      return void this.query(...args).then((result) => callback(undefined, result), callback);
    const client = await this.connect();
    try {
      return await client.query(...args);
    } finally {
      client.release();
    }
  }
}

/** pg's message for a query that timed out. */
const TIMEOUT_MESSAGE = 'Query read timeout';

/** SQLSTATEs of a connection to drop: broken, ended, or to a primary that was demoted. */
const CONNECTION_LOST = /^(08|57P|25006)/;

/**
 * Cancels a query that timed out and ends its connection. pg would return the connection to its
 * pool, and the next request would wait for the late answer. statement_timeout is no help, because
 * a stopped server does not apply it.
 */
class ImpatientClient extends pg.Client {
  declare processID: number;
  declare secretKey: number;
  readonly #cancelTimeoutMs: number;
  /** Whether the pool drops it. */
  isBroken = false;

  constructor(config: pg.PoolConfig = {}) {
    super(config);
    this.#cancelTimeoutMs = Number(config.connectionTimeoutMillis) / 2;
    // The pool listens only to idle connections. Otherwise the event would end the process.
    this.on('error', () => {
      this.isBroken = true;
    });
  }

  // biome-ignore lint/suspicious/noExplicitAny: query has ten overloads, and all are passed on.
  override query(...args: any[]): any {
    const result: unknown = Reflect.apply(super.query, this, args);
    return result instanceof Promise ? result.catch((error) => this.#reject(error)) : result;
  }

  /** Ends the connection after such an error, so that the pool does not take it back. */
  async #reject(error: Error & { code?: string | undefined }): Promise<never> {
    const isSql = isSqlError(error);
    if (error.message === TIMEOUT_MESSAGE) await this.#cancel();
    else if (isSql ? error.code && !CONNECTION_LOST.test(error.code) : !this.isBroken) throw error;
    this.isBroken = true;
    this.end();
    throw isSql ? error : new DatabaseUnavailable(error);
  }

  /** Sends a CancelRequest (PostgreSQL, 55.2.8), as libpq 16: unencrypted. Poolers pass it on. */
  async #cancel(): Promise<void> {
    const { host, port, processID, secretKey } = this;
    const message = Buffer.alloc(16);
    for (const [index, part] of [16, 80877102, processID, secretKey].entries())
      message.writeInt32BE(part, index * 4);
    const path = `${host}/.s.PGSQL.${port}`;
    const socket = host.startsWith('/') ? connect(path) : connect(port, host);
    socket.setTimeout(this.#cancelTimeoutMs, () => socket.destroy()).resume();
    // A pooler drops the request of a client that disconnects, so the server has to close first.
    socket.on('error', () => socket.destroy()).write(message);
    await once(socket, 'close').catch(() => undefined);
  }
}
