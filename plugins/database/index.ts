import { channel } from 'node:diagnostics_channel';
import type { PGlite } from '@electric-sql/pglite';
import type { FastifyInstance } from 'fastify';
import fp from 'fastify-plugin';
import { Kysely } from 'kysely';
import type { Pool } from 'pg';
import { type Static, Type } from 'typebox';
import { createCheck } from './check.ts';
import { pickDriver } from './driver.ts';
import { MIGRATIONS } from './migration-files.ts';
import { releaseDatabase } from './release.ts';
import { translateError } from './translate-error.ts';
import { DatabaseUnavailable } from './unavailable.ts';
import { DATABASE_URL_PATTERN } from './url.ts';

/** The embedded database blocks the process as it opens: the port comes first. In milliseconds. */
const CONNECT_DELAY_MS = 100;

const URL_FORM = {
  pattern: DATABASE_URL_PATTERN,
  secret: true,
  expected:
    'a postgres://, postgresql:// or pglite: URL with a user, one host (or ?host=/socket/folder) ' +
    'and a database, special characters percent-encoded',
};

export const settings = Type.Object({
  DATABASE_URL: Type.String({
    ...URL_FORM,
    description: 'The database: postgres://, or pglite: for the embedded one of development',
    remedy:
      'In development, start with npm run dev, which reads .env.example; ' +
      'on Heroku, run heroku addons:create heroku-postgresql:essential-0',
  }),
  DATABASE_DIRECT_URL: Type.Optional(
    Type.String({
      ...URL_FORM,
      description:
        'Where DATABASE_URL is a transaction pooler, the server itself: for release and LISTEN',
      remedy: 'Leave it out where DATABASE_URL is the server itself',
    }),
  ),
  DATABASE_TLS: Type.Optional(
    Type.Enum(['off', 'verify', 'no-verify'], {
      description:
        'TLS to the database: with or without a check of its certificate; ' +
        'what the URL says when not set',
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

declare module '../env/index.ts' {
  interface Config extends Static<typeof settings> {}
}

/** The tables of the database; each resource's store.ts merges its own into it. */
// biome-ignore lint/suspicious/noEmptyInterface: the tables are merged into it.
export interface Tables {}

declare module 'fastify' {
  interface FastifyInstance {
    db: Kysely<Tables>;
    /** Below `db`, for a library with SQL of its own; not there where the database is embedded. */
    databasePool: Pool | undefined;
    /** Makes what such a library needs, after the migrations: each step names what it has done. */
    prepareDatabase(step: PrepareStep): void;
  }
}

/** What Kysely logs of each query, for whoever observes the database. */
const QUERIES = channel('kysely:query');

/** The driver below Kysely. */
export type DatabaseDriver = { pool: Pool } | { pglite: PGlite };

export type PrepareStep = (driver: DatabaseDriver) => Promise<string[]>;

/** The database behind DATABASE_URL as `app.db`: connected at the first query, and again. */
export default fp(
  async (app, { migrations = MIGRATIONS }: { migrations?: string }) => {
    const steps: PrepareStep[] = [];
    const prepare = async (driver: DatabaseDriver) => {
      const names: string[] = [];
      for (const step of steps) names.push(...(await step(driver)));
      return names;
    };
    const driver = await pickDriver(app, (pglite) => prepare({ pglite }));
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
    const release = () =>
      openPool
        ? releaseDatabase(openPool(2, 0), migrations, app.log, (pool) => prepare({ pool }))
        : check().then(() => []);
    app.readiness.attach({ name: 'database', required: true, check, release });
    connectAtStart(app, check);
    app.addHook('onClose', async () => {
      await Promise.all([db.destroy(), spare?.end()]);
    });
  },
  { name: 'database', dependencies: ['readiness', 'errors'] },
);

/** The first request is faster then, and a missing database is logged at once. */
function connectAtStart(app: FastifyInstance, check: () => Promise<void>): void {
  const connect = () =>
    check().catch(
      (err) => app.readiness.draining || app.log.warn({ err }, 'The database is not ready'),
    );
  app.addHook('onListen', async () => void setTimeout(connect, CONNECT_DELAY_MS).unref());
}
