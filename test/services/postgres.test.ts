import { globSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import path from 'node:path';
import { sql } from 'kysely';
import type { Pool } from 'pg';
import { type Test, test } from 'tap';
import {
  buildTestApp,
  type LogLine,
  poll,
  ROOT,
  spawnProcess,
  startProcess,
  type TestProcess,
  writeFiles,
} from '../helper.ts';
import { copyBuild } from '../process/copy-build.ts';
import { type PostgresServer, startPostgres } from './postgres-server.ts';

const CREATING =
  "export const up = (db) => db.schema.createTable('whole').addColumn('id', 'uuid').execute();";

const ADDING =
  "export const up = (db) => db.schema.alterTable('whole').addColumn('name', 'text').execute();";

const INDEX = `
  import { sql } from 'kysely';
  export const transaction = false;
  export const up = (db) => sql\`create index concurrently whole_id on whole (id)\`.execute(db);
`;

const FAILING = `
  export async function up(db) {
    await db.schema.createTable('half').addColumn('id', 'uuid').execute();
    await db.schema.dropTable('whole').execute();
    throw new Error('half done');
  }
`;

/** The code of a migration that sleeps, with and without a transaction. */
function sleepFor(seconds: number): [whole: string, alone: string] {
  const code = `
    import { sql } from 'kysely';
    export const up = (db) => sql\`select pg_sleep(${seconds})\`.execute(db);`;
  return [code, `export const transaction = false;\n${code}`];
}

/** Copies the built app, with additional migrations after its own. */
async function copyWithMigrations(t: Test, migrations: Record<string, string>): Promise<string> {
  const folder = await copyBuild(t);
  await writeFiles(path.join(folder, 'dist/src/migrations'), migrations);
  return folder;
}

/**
 * Creates an empty database.
 *
 * @returns its URL
 */
async function createDatabase({ url, connect }: PostgresServer, name: string): Promise<string> {
  const session = await connect();
  await session.query(`create database ${name}`);
  return url.replace(/[^/]+$/, name);
}

/** Starts a release of a copy without waiting. */
const release = (t: Test, url: string, folder: string) =>
  spawnProcess(t, { entry: 'release', environment: { DATABASE_URL: url }, folder });

/** The line that sums up a release. A plugin may log more when it closes. */
const findApplied = (lines: LogLine[]) => lines.findLast(({ applied }) => applied);

/** Reads the applied migrations of a successful release, without the queues of jobs. */
async function readApplied(t: Test, { exited, lines, noise }: TestProcess): Promise<string[]> {
  t.equal(await exited, 0);
  t.strictSame(noise, []);
  const applied = findApplied(lines)?.applied as string[];
  return applied.filter((name) => !name.startsWith('queue '));
}

function listMigrations(): string[] {
  const files = globSync('src/migrations/*.ts', { cwd: ROOT });
  return files.map((file) => path.parse(file).name).sort();
}

test('contract 4: A process whose database is down becomes ready by itself', async (t) => {
  const server = await startPostgres(t);
  await server.kill();
  const web = await startProcess(t, { entry: 'web', environment: { DATABASE_URL: server.url } });
  t.equal((await fetch(web.url)).status, 200);
  t.equal((await fetch(`${web.url}/health/ready`)).status, 503);
  await server.start();
  await poll(async () => (await fetch(`${web.url}/health/ready`)).status === 200);
});

test('contract 26: release migrates the database', async (t) => {
  const server = await startPostgres(t);
  const folder = await copyWithMigrations(t, { '9998-whole.js': CREATING });
  const migrations = [...listMigrations(), '9998-whole'];

  await t.test('release applies and names all migrations; a second one has none', async (t) => {
    const url = await createDatabase(server, 'once');
    const first = release(t, url, folder);
    t.strictSame(await readApplied(t, first), migrations);
    const msg = new RegExp(`^Applied ${migrations.join(', ')}`);
    t.match(findApplied(first.lines), { level: 30, msg });
    const second = release(t, url, folder);
    t.strictSame(await readApplied(t, second), []);
    t.match(findApplied(second.lines), { level: 30, msg: 'Nothing to apply' });
  });

  await t.test('One of several concurrent releases applies the migrations', async (t) => {
    const url = await createDatabase(server, 'at_once');
    const releases = [1, 2, 3].map(() => release(t, url, folder));
    const applied = await Promise.all(releases.map((one) => readApplied(t, one)));
    t.strictSame(applied.flat(), migrations);
  });

  await t.test(
    'A release names the session that it waits for; a migration waits without a limit',
    async (t) => {
      const url = await createDatabase(server, 'waiting');
      const index = await copyWithMigrations(t, {
        '9998-whole.js': CREATING,
        '9999-index.js': INDEX,
      });
      const { db } = await buildTestApp(t, { DATABASE_URL: url });
      const waiting = await db.transaction().execute(async (transaction) => {
        const { rows } = await sql`select pg_advisory_xact_lock(x'706f6f7274'::bigint),
        pg_backend_pid() as "holderPid"`.execute(transaction);
        const waiting = release(t, url, index);
        t.match(await waiting.waitForLine('Waiting for another release'), {
          holderPid: (rows[0] as { holderPid: number }).holderPid,
          since: String,
        });
        return waiting;
      });
      await waiting.waitForLine('9999-index runs without a transaction: it waits for locks');
      t.strictSame(await readApplied(t, waiting), [...migrations, '9999-index']);
    },
  );

  await t.test(
    'A migration that fails is named, ends release with 1 and changes nothing',
    async (t) => {
      const url = await createDatabase(server, 'failing');
      const { db } = await buildTestApp(t, { DATABASE_URL: url });
      await readApplied(t, release(t, url, folder));
      const schema = await db.introspection.getTables();
      t.ok(schema.some(({ name }) => name === 'whole'));

      const files = { '9998-whole.js': CREATING, '9999-half.js': FAILING };
      const failed = release(t, url, await copyWithMigrations(t, files));
      t.equal(await failed.exited, 1);
      t.match(failed.lines.at(-1), {
        level: 60,
        msg: /^Migration 9999-half failed: .*half done.*; the schema is unchanged$/,
        err: { cause: { stack: /9999-half\.js/ } },
      });
      t.strictSame(await db.introspection.getTables(), schema);

      const mended = await copyWithMigrations(t, {
        ...files,
        '9999-half.js': CREATING.replace('whole', 'half'),
      });
      t.strictSame(await readApplied(t, release(t, url, mended)), ['9999-half']);
    },
  );

  await t.test(
    'A release gives up a migration that waits for a lock, and can be run again',
    async (t) => {
      const url = await createDatabase(server, 'locked');
      await readApplied(t, release(t, url, folder));
      const { db } = await buildTestApp(t, { DATABASE_URL: url });
      const changed = await copyWithMigrations(t, {
        '9998-whole.js': CREATING,
        '9999-more.js': ADDING,
      });
      await db.transaction().execute(async (transaction) => {
        await sql`select * from whole`.execute(transaction);
        const waiting = release(t, url, changed);
        t.equal(await waiting.exited, 1);
        t.match(waiting.lines.at(-1), {
          level: 60,
          msg: /^Migration 9999-more got no lock within 5000 ms: another session has it; .*Run it again$/,
        });
      });
      t.strictSame(await readApplied(t, release(t, url, changed)), ['9999-more']);
    },
  );

  await t.test('An index is created concurrently at any default isolation level', async (t) => {
    const url = await createDatabase(server, 'isolated');
    const session = await server.connect();
    await session.query(
      "alter database isolated set default_transaction_isolation = 'serializable'",
    );
    const copy = await copyWithMigrations(t, { '9998-whole.js': CREATING, '9999-index.js': INDEX });
    const names = [...listMigrations(), '9998-whole', '9999-index'];
    t.strictSame(await readApplied(t, release(t, url, copy)), names);
  });

  await t.test('The limits of a role do not apply to a release', async (t) => {
    const url = await createDatabase(server, 'limited');
    const session = await server.connect();
    for (const name of ['statement', 'lock', 'idle_in_transaction_session'])
      await session.query(`alter database limited set ${name}_timeout = 400`);
    const [slow, alone] = sleepFor(1);
    const copy = await copyWithMigrations(t, { '9998-slow.js': slow, '9999-alone.js': alone });
    const names = [...listMigrations(), '9998-slow', '9999-alone'];
    t.strictSame(await readApplied(t, release(t, url, copy)), names);
  });

  await t.test('The server ends the statement of a killed release', async (t) => {
    const session = await server.connect();
    for (const [index, source] of sleepFor(600).entries()) {
      const url = await createDatabase(server, `killed${index}`);
      const killed = release(t, url, await copyWithMigrations(t, { '9999-slow.js': source }));
      await killed.waitForLine('Applying');
      const sessions = `select from pg_stat_activity
        where datname = 'killed${index}' and query ~ 'sleep.600' and state = 'active'`;
      await poll(async () => (await session.query(sessions)).rowCount === 1);
      killed.signal('SIGKILL');
      await poll(async () => (await session.query(sessions)).rowCount === 0);
    }
  });

  await t.test('A step of a release may use two connections, such as pg-boss', async (t) => {
    const app = await buildTestApp(t, { DATABASE_URL: server.url });
    app.prepareDatabase(async (driver) => {
      const { pool } = driver as { pool: Pool };
      const building = await pool.connect();
      await pool.query('select 1').finally(() => building.release());
      return ['two connections'];
    });
    t.strictSame(await app.readiness.release(), ['two connections']);
  });

  await t.test('A migration that fails leaves an empty database empty', async (t) => {
    const url = await createDatabase(server, 'empty');
    const folder = await copyBuild(t);
    const migrations = path.join(folder, 'dist/src/migrations');
    // What an owner's migration does without a transaction stays.
    await rm(migrations, { recursive: true });
    await writeFiles(migrations, { '9998-whole.js': CREATING, '9999-half.js': FAILING });
    t.equal(await release(t, url, folder).exited, 1);
    const { db } = await buildTestApp(t, { DATABASE_URL: url });
    const names = (await db.introspection.getTables()).map(({ name }) => name);
    // The migrator's own tables are not part of the app's schema.
    t.strictSame(
      names.filter((name) => !name.startsWith('kysely_migration')),
      [],
    );
  });

  await t.test(
    'The log of a failed release hides a value, and says what was applied',
    async (t) => {
      const url = await createDatabase(server, 'wrong_value');
      const statement = (sql: string) =>
        `import { sql } from 'kysely'; export const up = (db) => sql.raw(\`${sql}\`).execute(db);`;
      const failed = release(
        t,
        url,
        await copyWithMigrations(t, {
          '9998-index.js': `export const transaction = false; ${statement('select 1')}`,
          '9999-wrong.js': statement("select 'hunter2'::int"),
        }),
      );
      t.equal(await failed.exited, 1);
      const hidden = 'invalid input syntax for type integer: ***';
      const applied = [...listMigrations(), '9998-index'].join(', ');
      t.equal(
        failed.lines.at(-1)?.msg,
        `Migration 9999-wrong failed: ${hidden}; applied before it: ${applied}`,
      );
      t.notMatch(JSON.stringify(failed.lines), 'hunter2');
    },
  );

  await t.test('A release makes a waiting process ready without a restart', async (t) => {
    const url = await createDatabase(server, 'pending');
    const web = await startProcess(t, { entry: 'web', environment: { DATABASE_URL: url }, folder });
    const readiness = await fetch(`${web.url}/health/ready`);
    t.equal(readiness.status, 503);
    t.match(await readiness.json(), {
      status: 'unavailable',
      services: { database: { status: 'down' } },
    });
    const expected = `Migrations are pending: ${migrations.join(', ')}. Run npm run release.`;
    await poll(() => web.lines.some(({ err }) => (err as Error)?.message === expected));
    await readApplied(t, release(t, url, folder));
    await poll(async () => (await fetch(`${web.url}/health/ready`)).status === 200);
    await web.waitForLine('database is back');
  });
});
