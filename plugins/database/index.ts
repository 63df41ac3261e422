import { channel } from 'node:diagnostics_channel';
import type { PGlite } from '@electric-sql/pglite';
import createError from '@fastify/error';
import type { FastifyInstance } from 'fastify';
import fp from 'fastify-plugin';
import { type Dialect, Kysely, PostgresDialect, sql } from 'kysely';
import type { Pool } from 'pg';
import { type Static, Type } from 'typebox';
import { createEmbeddedDialect } from './embedded-database.ts';
import { applyMigrations, findPendingMigrations, MIGRATIONS } from './migrate.ts';

/** The embedded database blocks the process while it opens: who waits for the port comes first. In milliseconds. */
const WARM_UP_MS = 100;

export const settings = Type.Object({
  DATABASE_URL: Type.String({
    format: 'uri',
    pattern: '^(postgres|postgresql)://.|^pglite:.',
    secret: true,
    description: 'The database: postgres://, or pglite: for the embedded one of development',
    expected: 'a postgres://, postgresql:// or pglite: URL, special characters percent-encoded',
    remedy:
      'In development, start with npm run dev, which reads .env.example; ' +
      'on Heroku, run heroku addons:create heroku-postgresql:essential-0',
  }),
  DATABASE_TLS: Type.Optional(
    Type.Enum(['off', 'verify', 'no-verify'], {
      description:
        'TLS to the database: with or without a check of its certificate; what the URL says where unset',
      expected: 'off, verify or no-verify',
      remedy: 'Set DATABASE_TLS=no-verify for Heroku Postgres, whose certificate is self-signed',
    }),
  ),
  DATABASE_POOL_MAX: Type.Integer({
    minimum: 1,
    maximum: 10_000,
    default: 10,
    description: 'The most connections of one process to the database',
    expected: 'an integer of at least 1',
    remedy: 'Set DATABASE_POOL_MAX=10, or leave it out',
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
     * Adds what has to be in the database beside the migrations' tables, for a library with SQL of its own. `release`
     * calls it after the migrations, the embedded database when it opens; it resolves with the names of its steps.
     */
    prepareDatabase(step: PrepareStep): void;
    /** What is below `db`, for such a library; undefined where the database is the embedded one. */
    databasePool: Pool | undefined;
  }
}

const DatabaseUnavailable = createError('SERVICE_UNAVAILABLE', 'The database is away', 503);
/** What Kysely logs of each query, for whoever observes the database. */
const QUERIES = channel('kysely:query');

/** The driver below Kysely. */
export type DatabaseDriver = { pool: Pool } | { pglite: PGlite };

type PrepareStep = (driver: DatabaseDriver) => Promise<string[]>;

export interface DatabaseOptions {
  /** The folder of the migrations; src/migrations unless a test says otherwise. */
  migrations?: string;
}

/** The database behind DATABASE_URL as `app.db`: connected when it is first asked, and again whenever it was away. */
export default fp(
  async (app, { migrations = MIGRATIONS }: DatabaseOptions) => {
    const steps: PrepareStep[] = [];
    const { connect, isUnavailable, explain } = await pickDriver(app, steps);
    // Connecting (a tenth to a fifth) and one statement end before the request does: a stuck database is a 503.
    const { dialect, pool } = connect(app.config.REQUEST_TIMEOUT_MS * 0.6);
    const db = new Kysely<Tables>({ dialect, log: (event) => QUERIES.publish(event) });
    const check = createCheck(db, migrations);
    const explained = () => check().catch((error) => Promise.reject(explain(error)));
    app.decorate('db', db);
    app.answerErrors((error) => (isUnavailable(error) ? new DatabaseUnavailable() : undefined));
    app.decorate('databasePool', pool);
    app.decorate('prepareDatabase', (step) => void steps.push(step));
    app.readiness.attach({
      name: 'database',
      required: true,
      check: explained,
      release: () =>
        migrate(connect(0), migrations, steps).catch((error) => Promise.reject(explain(error))),
    });
    // The first request need not wait for the database, nor an operator for the news that there is none.
    const warmUp = () =>
      explained().catch(
        (err) => app.readiness.draining || app.log.warn({ err }, 'The database is not ready'),
      );
    app.addHook('onListen', async () => void setTimeout(warmUp, WARM_UP_MS).unref());
    app.addHook('onClose', async () => db.destroy());
  },
  { name: 'database', dependencies: ['readiness', 'errors'] },
);

interface Connections {
  dialect: Dialect;
  pool?: Pool;
}

interface Driver {
  /** @param statementTimeoutMs how long a statement may take, in milliseconds; 0 forever */
  connect(statementTimeoutMs: number): Connections;
  isUnavailable(error: Error): boolean;
  /** Adds to an error of connecting what to do about it. */
  explain(error: Error): Error;
}

/** Loads the driver that the URL's scheme asks for, and only that one. */
async function pickDriver({ config, log }: FastifyInstance, steps: PrepareStep[]): Promise<Driver> {
  const {
    DATABASE_URL: url,
    DATABASE_TLS: tls,
    DATABASE_POOL_MAX: max,
    REQUEST_TIMEOUT_MS,
  } = config;
  if (url.startsWith('pglite:')) {
    return {
      connect: () => ({
        dialect: createEmbeddedDialect(url, log, (pglite) => prepare(steps, { pglite })),
      }),
      isUnavailable: () => false,
      explain: (error) => error,
    };
  }
  const { createPool, isUnavailable, explainTls } = await import('./postgres.ts');
  const connectTimeoutMs = Math.min(5_000, REQUEST_TIMEOUT_MS * 0.2);
  const onIdleError = (err: Error) => log.warn({ err }, 'A connection to the database broke');
  return {
    connect: (statementTimeoutMs) => {
      const options = { url, tls, max, connectTimeoutMs, statementTimeoutMs, onIdleError };
      const pool = createPool(options);
      return { pool, dialect: new PostgresDialect({ pool }) };
    },
    isUnavailable,
    explain: explainTls,
  };
}

/** A database is up when it answers and has every migration; those are looked for until none is pending. */
function createCheck(db: Kysely<Tables>, migrations: string): () => Promise<void> {
  let migrated = false;
  return async () => {
    if (migrated) return void (await sql`select 1`.execute(db));
    const pending = await findPendingMigrations(db, migrations);
    if (pending.length > 0)
      throw new Error(`Migrations are pending: ${pending.join(', ')}. Run npm run release.`);
    migrated = true;
  };
}

async function migrate(
  { dialect, pool }: Connections,
  migrations: string,
  steps: PrepareStep[],
): Promise<string[]> {
  const db = new Kysely<Tables>({ dialect });
  try {
    const applied = await applyMigrations(db, migrations);
    return pool ? [...applied, ...(await prepare(steps, { pool }))] : applied;
  } finally {
    await db.destroy();
  }
}

async function prepare(steps: PrepareStep[], driver: DatabaseDriver): Promise<string[]> {
  const names: string[] = [];
  for (const step of steps) names.push(...(await step(driver)));
  return names;
}
