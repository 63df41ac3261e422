import type { Dialect, PGliteDialectConfig, TransactionSettings } from 'kysely';
import { CompiledQuery, PGliteDialect, PGliteDriver, PostgresAdapter } from 'kysely';
import { limitTime } from '../../src/limit-time.ts';
import { DatabaseUnavailable } from './database-errors.ts';

type Connection = Parameters<PGliteDriver['beginTransaction']>[0];

const CONNECTION_TIMEOUT_MS = 5_000;

const REASON =
  'a transaction holds the one connection of the embedded database. ' +
  'Inside it, use the transaction in place of app.db, and send jobs with { transaction }';

/** Limits the wait for the one connection: a transaction using `app.db` would wait for itself. */
export function createEmbeddedDialect(config: PGliteDialectConfig): Dialect {
  return Object.assign(new PGliteDialect(config), {
    createDriver: () => new QueuingDriver(config),
    // Not PGlite's adapter: with it, Kysely would queue by itself, without a limit.
    createAdapter: () => new PostgresAdapter(),
  });
}

class QueuingDriver extends PGliteDriver {
  #last = Promise.resolve();
  #release = Promise.withResolvers<void>().resolve;

  override async acquireConnection() {
    const turn = this.#last;
    const { promise: done, resolve: release } = Promise.withResolvers<void>();
    this.#last = turn.then(() => done);
    const late = new DatabaseUnavailable(new Error(REASON));
    await limitTime(turn, CONNECTION_TIMEOUT_MS, late).catch((error) => {
      release();
      throw error;
    });
    this.#release = release;
    const connection = await super.acquireConnection();
    // For Kysely's inflightQueryAbortStrategy. PGlite cannot cancel a query, which goes on.
    const ignore = async () => undefined;
    return Object.assign(connection, { cancelQuery: ignore, killSession: ignore });
  }

  /** Kysely's own leaves out the settings. */
  override async beginTransaction(
    connection: Connection,
    { isolationLevel, accessMode }: TransactionSettings = {},
  ): Promise<void> {
    await super.beginTransaction(connection);
    const level = isolationLevel && `isolation level ${isolationLevel}`;
    const modes = [level, accessMode].filter(Boolean).join(', ');
    if (modes) await connection.executeQuery(CompiledQuery.raw(`set transaction ${modes}`));
  }

  override async releaseConnection(): Promise<void> {
    this.#release();
  }
}
