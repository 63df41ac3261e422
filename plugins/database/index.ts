import { channel } from 'node:diagnostics_channel';
import type { PGlite } from '@electric-sql/pglite';
import fp from 'fastify-plugin';
import { Kysely } from 'kysely';
import type { Pool } from 'pg';
import { type Static, Type } from 'typebox';
import { createCheck } from './check.ts';
import { pickDriver } from './driver.ts';
import { MIGRATIONS } from './migration-files.ts';
import { release } from './release.ts';
import { translateError } from './translate-error.ts';
import { DatabaseUnavailable } from './unavailable.ts';
import { DATABASE_URL_PATTERN } from './url.ts';

/** The embedded database blocks the process as it opens: the port comes first. In milliseconds. */
const CONNECT_DELAY_MS = 100;

const EXPECTED_URL =
  'a postgres://, postgresql:// or pglite: URL with a user, one host (or ?host=/socket/folder) and ' +
  'a database, special characters percent-encoded';

export const settings = Type.Object({
  DATABASE_URL: Type.String({
    pattern: DATABASE_URL_PATTERN,
    secret: true,
    description: 'The database: postgres://, or pglite: for the embedded one of development',
    expected: EXPECTED_URL,
    remedy:
      'In development, start with npm run dev, which reads .env.example; ' +
      'on Heroku, run heroku addons:create heroku-postgresql:essential-0',
  }),
  DATABASE_DIRECT_URL: Type.Optional(
    Type.String({
      pattern: DATABASE_URL_PATTERN,
      secret: true,
      description:
        'Where DATABASE_URL is a transaction pooler, the server itself: for release and LISTEN',
      expected: EXPECTED_URL,
      remedy: 'Leave it out where DATABASE_URL is the server itself',
    }),
  ),
  DATABASE_TLS: Type.Optional(
    Type.Enum(['off', 'verify', 'no-verify'], {
      description:
        'TLS to the database: with or without a check of its certificate; what the URL says where unset',
      remedy: 'Set DATABASE_TLS=no-verify for Heroku Postgres, whose certificate is self-signed',
    }),
  ),
  DATABASE_POOL_MAX: Type.Integer({
    minimum: 1,
    maximum: 10_000,
    default: 10,
    description: 'The most connections of one process to the database',
  }),
});

type DatabaseSettings = Static<typeof settings>;

declare module '../env/index.ts' {
  interface Config extends DatabaseSettings {}
}

/** The tables of the database; each resource's store.ts merges its own into it. */
// biome-ignore lint/suspicious/noEmptyInterface: the tables are merged into it.
export interface Tables {}

declare module 'fastify' {
  interface FastifyInstance {
    db: Kysely<Tables>;
    /**
     * Adds what has to be in the database beside the migrations' tables, for a library with SQL of
     * its own. `release` calls it after the migrations, the embedded database when it opens; it
     * resolves with the names of its steps.
     */
    prepareDatabase(step: PrepareStep): void;
    /** What is below `db`, for such a library; undefined where the database is the embedded one. */
    databasePool: Pool | undefined;
  }
}

/** What Kysely logs of each query, for whoever observes the database. */
const QUERIES = channel('kysely:query');

/** The driver below Kysely. */
export type DatabaseDriver = { pool: Pool } | { pglite: PGlite };

export type PrepareStep = (driver: DatabaseDriver) => Promise<string[]>;

export interface DatabaseOptions {
  /** The folder of the migrations; src/migrations unless a test says otherwise. */
  migrations?: string;
}

/** The database behind DATABASE_URL as `app.db`: connected at the first query, and again. */
export default fp(
  async (app, { migrations = MIGRATIONS }: DatabaseOptions) => {
    const steps: PrepareStep[] = [];
    const driver = await pickDriver(app, (pglite) => prepare(steps, { pglite }));
    const { dialect, pool, openPool, isSqlError } = driver;
    const db = new Kysely<Tables>({ dialect, log: (event) => QUERIES.publish(event) });
    const spare = openPool?.(1);
    const check = createCheck(db, migrations, pool, spare);
    app.decorate('db', db);
    app.decorate('databasePool', pool);
    app.decorate('prepareDatabase', (step) => void steps.push(step));
    app.answerErrors((error) =>
      error instanceof DatabaseUnavailable || isSqlError(error) ? translateError(error) : undefined,
    );
    app.readiness.attach({
      name: 'database',
      required: true,
      check,
      async release() {
        const pool = openPool?.(2, 0);
        if (pool) return release(pool, migrations, () => prepare(steps, { pool }));
        await check();
        return [];
      },
    });
    // Connect now: the first request is faster, and a missing database is logged at once.
    const connect = () =>
      check().catch(
        (err) => app.readiness.draining || app.log.warn({ err }, 'The database is not ready'),
      );
    app.addHook('onListen', async () => void setTimeout(connect, CONNECT_DELAY_MS).unref());
    app.addHook('onClose', async () => void (await Promise.all([db.destroy(), spare?.end()])));
  },
  { name: 'database', dependencies: ['readiness', 'errors'] },
);

async function prepare(steps: PrepareStep[], driver: DatabaseDriver): Promise<string[]> {
  const names: string[] = [];
  for (const step of steps) names.push(...(await step(driver)));
  return names;
}
