import { globSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { Kysely, PGliteDialect, sql } from 'kysely';
import type { Migration } from 'kysely/migration';
import { test } from 'tap';
import { applyMigrations, findPending } from '../../../plugins/database/migrate.ts';
import { listMigrations } from '../../../plugins/database/migration-files.ts';
import { openEmbeddedDatabase } from '../../fixture/embedded-database.ts';
import { captureLog, createFolder, ROOT, writeFiles } from '../../helper.ts';

const KYSELY = import.meta.resolve('kysely');

const createTable = (name: string) =>
  `export const up = (db) => db.schema.createTable('${name}').addColumn('id', 'uuid').execute();`;

test('Migrations', async (t) => {
  const pglite = await openEmbeddedDatabase();
  const db = new Kysely<unknown>({ dialect: new PGliteDialect({ pglite }) });
  t.teardown(() => db.destroy());
  const folder = await createFolder(t);
  await writeFiles(folder, {
    '0001-cats.mjs': createTable('cats'),
    '0002-dogs.mjs': createTable('dogs'),
  });
  const { logger, lines } = captureLog();
  const apply = async (folder: string) => applyMigrations(db, await listMigrations(folder), logger);
  const listPending = async (folder: string) => findPending(db, await listMigrations(folder));
  const listTables = async () =>
    (await db.introspection.getTables())
      .map(({ name }) => name)
      .filter((name) => !name.startsWith('kysely'));

  await t.test('Migrations are pending until they are applied, in order', async (t) => {
    t.strictSame(await listPending(folder), ['0001-cats', '0002-dogs']);
    t.strictSame(await apply(folder), ['0001-cats', '0002-dogs']);
    t.strictSame(await listPending(folder), []);
    t.strictSame(await listTables(), ['cats', 'dogs']);
  });

  await t.test('Migrations are applied once', async (t) => {
    t.strictSame(await apply(folder), []);
  });

  await t.test('Migrations wait for the lock of another release, and log it once', async (t) => {
    await sql`create sequence tries`.execute(db);
    await sql`create function pg_try_advisory_xact_lock(bigint) returns boolean language sql
      as $$ select nextval('tries') > 9 $$`.execute(db);
    await sql`set search_path = public, pg_catalog`.execute(db);
    await writeFiles(folder, { '0002-hens.mjs': createTable('hens') });
    t.strictSame(await apply(folder), ['0002-hens']);
    await sql`reset search_path`.execute(db);
    const { rows } = await sql`select last_value::int from tries`.execute(db);
    t.strictSame(rows, [{ last_value: 10 }]);
    t.match(lines, [{ level: 30, msg: /^Waiting for another release/ }]);
    t.equal(lines.length, 1);
  });

  await t.test('A release that cannot see who has the lock waits too', async (t) => {
    await sql`alter sequence tries restart`.execute(db);
    await sql`create view pg_locks as select 1 as pid`.execute(db);
    await sql`set search_path = public, pg_catalog`.execute(db);
    await writeFiles(folder, { '0002-owls.mjs': createTable('owls') });
    t.strictSame(await apply(folder), ['0002-owls']);
    await sql`reset search_path`.execute(db);
    await sql`drop view pg_locks`.execute(db);
    await sql`drop view pg_locks`.execute(db);
    await sql`drop table owls`.execute(db);
    t.match(lines.at(-1), { msg: /^Waiting for another release/, err: { message: /locktype/ } });
  });

  await t.test('Two releases at once apply each migration once', async (t) => {
    await writeFiles(folder, { '0003-mice.mjs': createTable('mice') });
    const applied = await Promise.all([apply(folder), apply(folder)]);
    t.strictSame(applied.flat(), ['0003-mice']);
  });

  await t.test('A migration that fails is named, and the schema stays as it was', async (t) => {
    await writeFiles(folder, {
      '0004-birds.mjs': createTable('birds'),
      '0005-broken.mjs': `export const up = async (db) => {
        await db.schema.dropTable('cats').execute();
        throw new Error('no');
      };`,
    });
    const error = await apply(folder).catch((error) => error);
    t.match(error, {
      message: 'Migration 0005-broken failed: no; the schema is unchanged',
      cause: { message: 'no' },
    });
    t.strictSame(await listTables(), ['cats', 'dogs', 'hens', 'mice']);
    t.strictSame(await listPending(folder), ['0004-birds', '0005-broken']);
  });

  await t.test('A query whose error is lost makes the transaction fail', async (t) => {
    const folder = await createFolder(t);
    await writeFiles(folder, {
      '0099-lost.mjs': `export const up = async (db) => {
        await db.schema.dropTable('nothing').execute().catch(() => {});
      };`,
    });
    await t.rejects(apply(folder), {
      message:
        /^Migration 0099-lost failed: .*\(an earlier query of it failed: is an await missing/,
    });
  });

  await t.test('Migrations of newer code do not stop older code or a branch', async (t) => {
    const older = await createFolder(t);
    t.strictSame(await listPending(older), []);
    t.strictSame(await apply(older), []);
    await writeFiles(older, { '0002-before-mice.mjs': createTable('before') });
    t.strictSame(await apply(older), ['0002-before-mice']);
  });

  await t.test('Migrations without a transaction are applied one by one, in order', async (t) => {
    const others = await createFolder(t);
    const index = (name: string) => `
      import { sql } from 'kysely';
      export const transaction = false;
      export const up = (db) => sql\`create index concurrently ${name} on owls (id)\`.execute(db);`;
    await writeFiles(others, {
      '0006-owls.mjs': createTable('owls'),
      '0007-index.mjs': index('first').replace("'kysely'", `'${import.meta.resolve('kysely')}'`),
      '0008-toads.mjs': createTable('toads'),
      '0009-index.mjs': index('first').replace("'kysely'", `'${import.meta.resolve('kysely')}'`),
    });
    await t.rejects(apply(others), {
      message:
        'Migration 0009-index failed: relation "first" already exists; ' +
        'it ran without a transaction, so check what it left; ' +
        'applied before it: 0006-owls, 0007-index, 0008-toads',
    });
    t.strictSame(await listPending(others), ['0009-index']);
  });

  await t.test('A migration that fails after others were kept names those', async (t) => {
    const others = await createFolder(t);
    await writeFiles(others, {
      '0010-newts.mjs': `export const transaction = false; ${createTable('newts')}`,
      '0011-bats.mjs': createTable('bats'),
      '0012-broken.mjs': "export const up = () => { throw new Error('no') };",
    });
    await t.rejects(apply(others), {
      message: 'Migration 0012-broken failed: no; applied before it: 0010-newts',
    });
    t.strictSame(await listPending(others), ['0011-bats', '0012-broken']);
  });

  await t.test('A deferred constraint that fails names the migrations of its commit', async (t) => {
    const others = await createFolder(t);
    const dogs = `export const up = (db) => db.schema.createTable('dog_names')
      .addColumn('id', 'integer')
      .addUniqueConstraint('once', ['id'], (once) => once.deferrable().initiallyDeferred())
      .execute();`;
    const twice = "db.insertInto('dog_names').values([{ id: 1 }, { id: 1 }]).execute();";
    await writeFiles(others, {
      '0013-dog-names.mjs': dogs,
      '0014-twice.mjs': `export const up = (db) => ${twice}`,
    });
    await t.rejects(apply(others), {
      message: /^Migration 0013-dog-names, 0014-twice failed: .*unique.*; the schema is unchanged$/,
      cause: { code: '23505' },
    });
    t.strictSame(await listPending(others), ['0013-dog-names', '0014-twice']);
  });

  await t.test(
    'The lock_timeout and search_path of a file of pg_dump do not reach the next migration',
    async (t) => {
      const folder = await createFolder(t);
      const read = "select current_setting('lock_timeout') as found";
      await writeFiles(folder, {
        '1-baseline.mjs': `import { sql } from '${KYSELY}';
        export const up = async (db) => {
          await sql.raw('set lock_timeout = 0').execute(db);
          await sql.raw("select pg_catalog.set_config('search_path', '', false)").execute(db);
        };`,
        '2-more.mjs': `import { sql } from '${KYSELY}';
        export const up = async (db) => {
          const { rows } = await sql.raw("${read}").execute(db);
          if (rows[0].found !== '5s') throw new Error(rows[0].found);
          await sql.raw('create table more (id int)').execute(db);
        };`,
      });
      t.strictSame(await apply(folder), ['1-baseline', '2-more']);
      await sql`drop table public.more`.execute(db);
    },
  );

  await t.test('A missing folder has no migrations', async (t) => {
    await sql`drop table kysely_migration`.execute(db);
    t.strictSame(await listPending(path.join(folder, 'none')), []);
    t.strictSame(await apply(path.join(folder, 'none')), []);
  });

  await t.test("The app's migrations can be undone, last to first", async (t) => {
    const before = await listTables();
    const files = globSync('src/migrations/*.ts', { cwd: ROOT }).sort();
    const migrations: Migration[] = await Promise.all(
      files.map((file) => import(`../../../${file}`)),
    );
    for (const { up } of migrations) await up(db);
    for (const { down } of migrations.toReversed()) await down?.(db);
    t.strictSame(await listTables(), before);
  });

  await t.test('Invalid migrations are named with the reason', async (t) => {
    const rows: [code: string, reason: RegExp][] = [
      ['', /^Migration 0001-wrong failed: .*up is not a function; the schema/],
      ['export const down = () => {};', /^Migration 0001-wrong failed: .*up is not a function/],
      [
        'export const up = (',
        /0001-wrong\.mjs cannot be loaded: Unexpected end of input, in this .* says where$/,
      ],
      ["import './none.mjs';", /0001-wrong\.mjs cannot be loaded: Cannot find module .*none/],
      ['export const up = () => { throw undefined };', /^Migration 0001-wrong failed: undefined;/],
      [
        "export const up = () => { throw Object.assign(new Error('no'), { code: '55P03' }) };",
        /^Migration 0001-wrong got no lock within \d+ ms: another session has it; .*Run it again$/,
      ],
      [
        "export const up = (db) => db.schema.dropTable('none').execute().catch(() => undefined);",
        /^Migration 0001-wrong failed: current transaction is aborted.*; the schema is unchanged$/,
      ],
      ["export const up = () => { throw 'a text' };", /^Migration 0001-wrong failed: a text;/],
    ];
    for (const [code, message] of rows) {
      const wrong = await createFolder(t);
      await writeFiles(wrong, { '0001-wrong.mjs': code });
      await t.rejects(apply(wrong), { message }, code);
    }
  });

  await t.test('A folder of migrations that cannot be read is an error', async (t) => {
    const file = path.join(await createFolder(t), 'file');
    await writeFile(file, '');
    await t.rejects(apply(file), { code: 'ENOTDIR' });
    await t.rejects(listPending(file), { code: 'ENOTDIR' });
  });
});
