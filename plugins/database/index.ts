import { channel } from 'node:diagnostics_channel';
import type { PGlite } from '@electric-sql/pglite';
import type { FastifyInstance } from 'fastify';
import fp from 'fastify-plugin';
import { Kysely } from 'kysely';
import type { Pool } from 'pg';
import { type Static, Type } from 'typebox';
import { afterListening } from '../../src/after-listening.ts';
import { createCheck } from './check.ts';
import { translateError } from './database-errors.ts';
import { pickDriver } from './driver.ts';
import { releaseDatabase } from './migrate.ts';
import { listMigrations, MIGRATIONS } from './migration-files.ts';
import { POSTGRES_PATTERN } from './url.ts';

const SERVER =
  'URL with a user, one host (or ?host=/socket/folder) and a database, ' +
  'special characters percent-encoded';

export const settings = Type.Object({
  DATABASE_URL: Type.String({
    format: 'database',
    pattern: `^pglite:(?!/+$|//[^/]).+$|${POSTGRES_PATTERN}`,
    secret: true,
    expected: `a postgres://, postgresql:// or pglite: ${SERVER}`,
    description: 'The database: postgres://, or pglite: for the embedded database of development',
    remedy:
      'In development, start with npm run dev, which reads .env.example; ' +
      'on Heroku, run heroku addons:create heroku-postgresql:essential-0',
  }),
  DATABASE_DIRECT_URL: Type.Optional(
    Type.String({
      format: 'database',
      pattern: POSTGRES_PATTERN,
      secret: true,
      expected: `a postgres:// or postgresql:// ${SERVER}`,
      description:
        'The server behind the transaction pooler in DATABASE_URL, for release and heartbeats',
      remedy: 'Leave it out if DATABASE_URL is the server itself',
    }),
  ),
  DATABASE_TLS: Type.Optional(
    Type.Enum(['off', 'verify', 'no-verify'], {
      description:
        'TLS to the database, with or without a check of the certificate; ' +
        'the URL decides when not set',
      remedy: 'Set DATABASE_TLS=no-verify for Heroku Postgres, whose certificate is self-signed',
    }),
  ),
  DATABASE_POOL_MAX: Type.Integer({
    minimum: 1,
    maximum: 10_000,
    default: 10,
    description:
      'The most connections of one process to the database; checks and heartbeats may open one more',
  }),
});

declare module '../env/index.ts' {
  interface Config extends Static<typeof settings> {}
}

/** The tables of the database. The store.ts of each resource adds its own table. */
// biome-ignore lint/suspicious/noEmptyInterface: the tables are merged into it.
export interface Tables {}

declare module 'fastify' {
  interface FastifyInstance {
    db: Kysely<Tables>;
    /** The pool of `db`, for a library with its own SQL. Undefined for the embedded database. */
    databasePool: Pool | undefined;
    /** One more connection for checks and heartbeats: they must not wait while the pool is full. */
    databaseSpare: Pool | undefined;
    /** Adds a step after the migrations. The database is ready when `findMissing` finds nothing. */
    prepareDatabase(step: PrepareStep, findMissing?: FindMissing): void;
  }
}

const QUERIES = channel('kysely:query');

export type DatabaseDriver = { pool: Pool } | { pglite: PGlite };

/** Resolves with the names of its changes. */
export type PrepareStep = (driver: DatabaseDriver) => Promise<string[]>;

export type FindMissing = (db: Kysely<unknown>) => Promise<string[]>;

/** The database at DATABASE_URL as `app.db`. It connects at the first query, and reconnects. */
export default fp(
  async (app, { migrations = MIGRATIONS }: { migrations?: string }) => {
    const steps: PrepareStep[] = [];
    const finders: FindMissing[] = [];
    const prepare: PrepareStep = async (driver) => {
      const names: string[] = [];
      for (const step of steps) names.push(...(await step(driver)));
      return names;
    };
    const { dialect, pool, spare, openReleasePool } = await pickDriver(app, prepare);
    const db = new Kysely<Tables>({ dialect, log: (event) => QUERIES.publish(event) });
    const findMissing: FindMissing = async (checked) =>
      (await Promise.all(finders.map((find) => find(checked)))).flat();
    // What a deploy adds to the folder, this process does not need.
    const files = await listMigrations(migrations);
    const check = createCheck(db, files, pool, spare, findMissing);
    app.decorate('db', db);
    app.decorate('databasePool', pool);
    app.decorate('databaseSpare', spare);
    app.decorate('prepareDatabase', (step, find) => {
      steps.push(step);
      if (find) finders.push(find);
    });
    app.answerErrors(translateError);
    const release = () =>
      openReleasePool
        ? releaseDatabase(openReleasePool(), migrations, app.log, prepare)
        : check().then(() => []);
    app.readiness.attach({ name: 'database', required: true, check, release });
    connectAtStart(app, check);
    // Kysely would end the pool only if it has used it itself.
    app.addHook('onClose', () => (pool ? Promise.all([pool.end(), spare.end()]) : db.destroy()));
  },
  { name: 'database', dependencies: ['readiness', 'errors'] },
);

/** Connects now: the first request is faster, and a missing database is logged at once. */
function connectAtStart(app: FastifyInstance, check: () => Promise<void>): void {
  const connect = () =>
    check().catch(
      (err) => app.stopping.aborted || app.log.warn({ err }, 'The database is not ready'),
    );
  afterListening(app, connect);
}
