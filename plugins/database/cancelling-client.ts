import { once } from 'node:events';
import { connect } from 'node:net';
import type { ConnectionOptions } from 'node:tls';
import pg from 'pg';
import { DatabaseUnavailable, isConnectionLost, isSqlError } from './database-errors.ts';

const TIMEOUT_MESSAGE = 'Query read timeout';

/**
 * Cancels a query that timed out and ends its connection: pg would reuse it, and the next
 * request would wait. statement_timeout is no help: a stopped server does not apply it.
 */
export class CancellingClient extends pg.Client {
  declare processID: number;
  declare secretKey: number;
  readonly #cancelTimeoutMs: number;
  readonly #timeoutMs: number | undefined;
  /** The first error of a broken connection: later ones say only that it is broken. */
  brokenBy: Error | undefined;

  constructor({ query_timeout, ...config }: pg.PoolConfig = {}) {
    super(config);
    this.#timeoutMs = query_timeout;
    // Otherwise NODE_TLS_REJECT_UNAUTHORIZED=0 would switch off what DATABASE_TLS=verify asks for.
    const ssl = this.ssl as boolean | ConnectionOptions;
    if (typeof ssl === 'object') ssl.rejectUnauthorized ??= true;
    this.#cancelTimeoutMs = Number(config.connectionTimeoutMillis) / 2;
    // The pool listens only to idle connections. Otherwise the event would end the process.
    this.on('error', (error) => {
      this.brokenBy ??= error;
    });
  }

  // biome-ignore lint/suspicious/noExplicitAny: query has ten overloads, and all are passed on.
  override query(query: any, ...args: any[]): any {
    const result: unknown = Reflect.apply(super.query, this, [this.#limit(query), ...args]);
    return result instanceof Promise ? result.catch((error) => this.#reject(error)) : result;
  }

  /** A cursor takes as long as its reader. At a time-out, pg would end it without an error. */
  #limit(query: string | pg.QueryConfig | pg.Submittable): unknown {
    if (typeof query === 'string') return { text: query, query_timeout: this.#timeoutMs };
    if ('submit' in query) return query;
    // It may have its text from a getter.
    return Object.assign(Object.create(query), { query_timeout: this.#timeoutMs, ...query });
  }

  async #reject(error: Error): Promise<never> {
    const isSql = isSqlError(error);
    const isLate = error.message === TIMEOUT_MESSAGE;
    if (!isLate && (isSql ? !isConnectionLost(error) : !this.brokenBy)) throw error;
    this.brokenBy ??= error;
    if (isLate) await this.#cancel();
    this.end();
    throw isSql ? error : new DatabaseUnavailable(this.brokenBy);
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
