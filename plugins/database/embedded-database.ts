import type { PGlite } from '@electric-sql/pglite';
import type { FastifyBaseLogger as Log } from 'fastify';
import { type Dialect, Kysely, PGliteDialect } from 'kysely';
import { OperatorError } from '../../src/operator-error.ts';
import { createEmbeddedDialect } from './embedded-dialect.ts';
import { cannotOpen, prepareFolder, RESET, readFolder } from './embedded-folder.ts';
import { migrateEmbedded } from './embedded-migrations.ts';
import type { PrepareStep } from './index.ts';
import { MIGRATIONS } from './migration-files.ts';

/** PostgreSQL's default is 128 MB. To clear that would take half of the time until it is open. */
const SHARED_BUFFERS = ['-c', 'shared_buffers=16MB'];

/** PostgreSQL in this process: PGlite, opened by the first query. Throws if it is not installed. */
export function createEmbeddedDatabase(url: string, log: Log, prepare: PrepareStep): Dialect {
  const module = resolvePGlite();
  const folder = readFolder(url);
  const open = async () => {
    const isInMemory = url === 'pglite:memory';
    if (!isInMemory) await prepareFolder(folder, module, log);
    const pglite = await openPGlite(isInMemory ? 'memory://' : folder).catch((cause) => {
      throw cannotOpen(folder, cause, `Another PostgreSQL may have created it. ${RESET}`);
    });
    try {
      await convertLikePg(pglite);
      const db = new Kysely<unknown>({ dialect: new PGliteDialect({ pglite }) });
      const applied = [
        ...(await migrateEmbedded(db, MIGRATIONS, log)),
        ...(await prepare({ pglite })),
      ];
      log.info({ applied }, `The embedded database is open in ${folder}`);
      return pglite;
    } catch (error) {
      await pglite.close();
      throw error;
    }
  };
  return createEmbeddedDialect({ pglite: open });
}

export async function openPGlite(dataDir: string): Promise<PGlite> {
  // biome-ignore lint/correctness/noUndeclaredDependencies: it is for development only.
  const { PGlite } = await import('@electric-sql/pglite');
  const startParams = [...PGlite.defaultStartParams, ...SHARED_BUFFERS];
  return PGlite.create({ dataDir, startParams });
}

/** Makes PGlite read and write values as pg does in production: its own types differ. */
async function convertLikePg(pglite: PGlite): Promise<void> {
  const { default: pg } = await import('pg');
  const { utils } = pg as unknown as { utils: { prepareValue(value: unknown): string } };
  pglite.parsers = new Proxy({}, { get: (_, oid) => pg.types.getTypeParser(Number(oid)) });
  pglite.serializers = new Proxy({}, { get: () => utils.prepareValue });
}

function resolvePGlite(): string {
  try {
    return import.meta.resolve('@electric-sql/pglite');
  } catch (cause) {
    const message =
      'DATABASE_URL names the embedded database, which is for development. It is not installed ' +
      'here. Set DATABASE_URL to a postgres:// URL, or run npm ci to install the development ' +
      'dependencies.';
    throw new OperatorError(message, { cause });
  }
}
