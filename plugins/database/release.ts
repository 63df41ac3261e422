import { Kysely } from 'kysely';
import { OperatorError } from '../../src/operator-error.ts';
import type { Connections } from './driver.ts';
import type { DatabaseDriver, PrepareStep, Tables } from './index.ts';
import { applyMigrations, runLocked } from './migrate.ts';
import type { SqlError } from './translate-error.ts';

/** The SQLSTATE of what a pooler refuses. */
const PROTOCOL_VIOLATION = '08P01';

/**
 * Applies the migrations, then what libraries prepare.
 *
 * @returns the names of the steps taken
 */
export async function migrate(
  { dialect, pool }: Connections,
  migrations: string,
  steps: PrepareStep[],
): Promise<string[]> {
  const db = new Kysely<Tables>({ dialect });
  try {
    const applied = await applyMigrations(db, migrations);
    if (!pool) return applied;
    return [...applied, ...(await runLocked(db, () => prepare(steps, { pool })))];
  } catch (error) {
    throw explainPooler(error as SqlError);
  } finally {
    await db.destroy();
  }
}

/**
 * A pooler's refusal, as PgBouncer's of a transaction in statement mode, says how to pass it by.
 */
function explainPooler(error: SqlError): Error {
  if (error.code !== PROTOCOL_VIOLATION) return error;
  return new OperatorError(
    `${error.message}. Where DATABASE_URL is a pooler, set DATABASE_DIRECT_URL to the server itself`,
    { cause: error },
  );
}

export async function prepare(steps: PrepareStep[], driver: DatabaseDriver): Promise<string[]> {
  const names: string[] = [];
  for (const step of steps) names.push(...(await step(driver)));
  return names;
}
