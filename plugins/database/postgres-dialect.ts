import { PostgresDialect, PostgresDriver } from 'kysely';
import type { Pool } from 'pg';

/**
 * Kysely's dialect, but a rollback that fails does not replace the error that it follows: without
 * a connection, PostgreSQL rolls back by itself.
 */
export function createDialect(pool: Pool): PostgresDialect {
  const dialect = new PostgresDialect({ pool });
  dialect.createDriver = () => {
    const driver = new PostgresDriver({ pool });
    const rollBack = driver.rollbackTransaction.bind(driver);
    driver.rollbackTransaction = (connection) => rollBack(connection).catch(() => undefined);
    return driver;
  };
  return dialect;
}
