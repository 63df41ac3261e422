import { PostgresDialect, PostgresDriver } from 'kysely';
import type { Pool } from 'pg';

/** Kysely's dialect, but a rollback that fails does not hide the error before it. */
export function createDialect(pool: Pool): PostgresDialect {
  const dialect = new PostgresDialect({ pool });
  dialect.createDriver = () => {
    const driver = new PostgresDriver({ pool });
    const rollBack = driver.rollbackTransaction.bind(driver);
    // Without a connection, PostgreSQL rolls back by itself.
    driver.rollbackTransaction = (connection) => rollBack(connection).catch(() => undefined);
    return driver;
  };
  return dialect;
}
