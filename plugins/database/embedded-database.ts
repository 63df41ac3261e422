import type { messages, PGlite } from '@electric-sql/pglite';
import type { FastifyBaseLogger } from 'fastify';
import { Kysely, PGliteDialect } from 'kysely';
import { OperatorError } from '../../src/operator-error.ts';
import { prepareFolder, RESET } from './embedded-folder.ts';
import { migrateEmbedded } from './embedded-migrations.ts';
import { MIGRATIONS } from './migration-files.ts';
import type { SqlError } from './translate-error.ts';

/**
 * PostgreSQL inside this process, for development: PGlite, in the folder that the URL names or in
 * memory (pglite:memory). The first query opens it, and it migrates and prepares itself then.
 *
 * @throws where PGlite is not installed, as after `npm prune --omit=dev`
 */
export function createEmbeddedDatabase(
  url: string,
  log: FastifyBaseLogger,
  prepare: (pglite: PGlite) => Promise<string[]>,
  migrations = MIGRATIONS,
): { dialect: PGliteDialect; isSqlError(error: Error): error is SqlError } {
  const module = resolvePGlite();
  const folder = url.slice('pglite:'.length);
  let DatabaseError: typeof messages.DatabaseError | undefined;
  const dialect = new PGliteDialect({
    pglite: async () => {
      if (folder !== 'memory') await prepareFolder(folder, module, log);
      const { PGlite, messages } = await import('@electric-sql/pglite');
      const pglite = await PGlite.create(folder === 'memory' ? 'memory://' : folder).catch(
        (cause) => {
          const reason = `The embedded database in ${folder} cannot be opened: ${cause.message}`;
          throw new OperatorError(`${reason}. It may be another PostgreSQL's. ${RESET}`, { cause });
        },
      );
      DatabaseError = messages.DatabaseError;
      try {
        const db = new Kysely<unknown>({ dialect: new PGliteDialect({ pglite }) });
        const applied = await migrateEmbedded(db, migrations, log);
        applied.push(...(await prepare(pglite)));
        log.info({ applied }, `The embedded database is open in ${folder}`);
        return pglite;
      } catch (error) {
        await pglite.close();
        throw error;
      }
    },
  });
  const isSqlError = (error: Error): error is SqlError =>
    DatabaseError !== undefined && error instanceof DatabaseError;
  return { dialect, isSqlError };
}

function resolvePGlite(): string {
  try {
    return import.meta.resolve('@electric-sql/pglite');
  } catch (cause) {
    const message =
      'DATABASE_URL names the embedded database, which is for development and is not installed here. ' +
      'Set DATABASE_URL to a postgres:// URL, or run npm ci to install the development dependencies.';
    throw new OperatorError(message, { cause });
  }
}
