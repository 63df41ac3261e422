import { PGliteDialect, type PGliteDialectConfig, PGliteDriver, PostgresAdapter } from 'kysely';
import { DatabaseUnavailable } from './database-errors.ts';

const REASON =
  'a transaction holds the one connection of the embedded database. ' +
  'Inside it, use the transaction in place of app.db, and send jobs with { transaction }';

/**
 * Kysely's dialect of PGlite, except that the one connection is waited for as in pg's pool, with a
 * limit in milliseconds. Otherwise a transaction that uses `app.db` would wait for itself forever.
 */
export class EmbeddedDialect extends PGliteDialect {
  readonly #driver: QueuingDriver;

  constructor(config: PGliteDialectConfig, connectionTimeoutMs: number) {
    super(config);
    this.#driver = new QueuingDriver(config, connectionTimeoutMs);
  }

  override createDriver(): QueuingDriver {
    return this.#driver;
  }

  /** Not PGlite's adapter: with it, Kysely would queue by itself, without a limit. */
  override createAdapter(): PostgresAdapter {
    return new PostgresAdapter();
  }
}

class QueuingDriver extends PGliteDriver {
  readonly #connectionTimeoutMs: number;
  #last: Promise<void> = Promise.resolve();
  #release = Promise.withResolvers<void>().resolve;

  constructor(config: PGliteDialectConfig, connectionTimeoutMs: number) {
    super(config);
    this.#connectionTimeoutMs = connectionTimeoutMs;
  }

  override async acquireConnection() {
    const turn = this.#last;
    const { promise: done, resolve: release } = Promise.withResolvers<void>();
    this.#last = turn.then(() => done);
    const { promise: late, reject } = Promise.withResolvers<void>();
    const timer = setTimeout(reject, this.#connectionTimeoutMs);
    try {
      await Promise.race([turn, late]);
    } catch {
      release();
      throw new DatabaseUnavailable(new Error(REASON));
    } finally {
      clearTimeout(timer);
    }
    this.#release = release;
    return super.acquireConnection();
  }

  override async releaseConnection(): Promise<void> {
    this.#release();
  }
}
