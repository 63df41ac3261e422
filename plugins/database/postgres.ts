import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import manifest from '../../package.json' with { type: 'json' };
import { OperatorError } from '../../src/operator-error.ts';
import { CancellingClient } from './cancelling-client.ts';
import { DatabaseUnavailable, isServerFull } from './database-errors.ts';
import { watchUse } from './pool-use.ts';
import { applyTls, type Tls } from './url.ts';

/** A pool for poolers too: its sessions keep no state. Throws an OperatorError for a bad URL. */
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
    Client: CancellingClient,
    application_name: manifest.name,
    keepAlive: true,
    ...options,
  });
  // The pool drops a connection that is being closed. A rollback may come back before the close.
  pool.on('release', (_error, client) => {
    const released = client as pg.PoolClient & CancellingClient;
    if (released.brokenBy) released.end();
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

/** pg-pool's error of a request that waited for a connection. */
const LATE_MESSAGE = 'timeout exceeded when trying to connect';

/** How many requests may wait for each connection. Clients would not wait for a longer queue. */
const QUEUE_PER_CONNECTION = 20;

/** How long the pool does not grow after a server refused one more connection, in milliseconds. */
const GROW_AFTER_MS = 1_000;

class ShortQueuePool extends pg.Pool {
  readonly #max = this.options.max;
  readonly #use = watchUse(this);
  #growing: NodeJS.Timeout | undefined;

  // biome-ignore lint/suspicious/noExplicitAny: connect also takes a callback.
  override connect(callback?: any): Promise<any> {
    if (callback) {
      const fail = (error: Error) => callback(error, undefined, () => undefined);
      return this.connect().then((client) => callback(null, client, client.release), fail);
    }
    const { waitingCount } = this;
    if (waitingCount >= this.#max * QUEUE_PER_CONNECTION) {
      const waiting = `${waitingCount} requests wait for a connection already`;
      const reason = `${waiting}, one of ${this.#describe()}`;
      return Promise.reject(new DatabaseUnavailable(new Error(reason)));
    }
    return super.connect().catch((error) => {
      if (this.#shrink(error)) return this.connect();
      throw new DatabaseUnavailable(error.message === LATE_MESSAGE ? this.#describeWait() : error);
    });
  }

  #describeWait(): Error {
    const limit = `became free within ${this.options.connectionTimeoutMillis} ms`;
    const remedy = 'Inside a transaction, use it in place of app.db, and end each transaction';
    return new Error(`none of ${this.#describe()} ${limit}. ${remedy}`);
  }

  #describe(): string {
    const { max } = this.options;
    const admitted = max < this.#max ? `; the full server admits ${max}` : '';
    return `the pool's ${this.#max} connections (DATABASE_POOL_MAX${admitted})`;
  }

  /** While the server is full, as during a deploy, requests share the connections that are open. */
  #shrink(error: Error): boolean {
    const open = this.#use.connections + this.idleCount;
    if (!isServerFull(error) || open === 0) return false;
    this.options.max = open;
    clearTimeout(this.#growing);
    const grow = () => Object.assign(this.options, { max: this.#max });
    this.#growing = setTimeout(grow, GROW_AFTER_MS).unref();
    return true;
  }

  override async end(): Promise<void> {
    if (this.ending) return;
    await Promise.race([super.end(), sleep(END_TIMEOUT_MS, undefined, { ref: false })]);
  }

  /** For libraries with their own SQL. pg's own method skips the errors of CancellingClient. */
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
