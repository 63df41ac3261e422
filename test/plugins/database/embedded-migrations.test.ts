import { Kysely, type LogEvent, PGliteDialect, sql } from 'kysely';
import { type Test, test } from 'tap';
import { migrateEmbedded } from '../../../plugins/database/embedded-migrations.ts';
import { openEmbeddedDatabase } from '../../fixture/embedded-database.ts';
import { captureLog, createFolder, writeFiles } from '../../helper.ts';

/** A migration of one table with one column. */
const create = (table: string, column: string) => `
  export const up = (db) =>
    db.schema.createTable('${table}').addColumn('${column}', 'text').execute();
  export const down = (db) => db.schema.dropTable('${table}').execute();
`;

/** Other formats of the same code, such as `npm run format` writes. */
const FORMATS: Record<string, (code: string) => string> = {
  lines: (code) => `\n\n${code.replaceAll('.', '\n.')}\n`,
  quotes: (code) => code.replaceAll("'", '"'),
  semicolons: (code) => code.replaceAll(';', ''),
  commas: (code) => code.replaceAll("'text')", "'text',)"),
  parentheses: (code) => code.replaceAll('(db)', 'db'),
  comments: (code) => `/** Added. */\n${code}// And here.\n`,
};

/** Code that does nothing. */
const CHANGE = '\nexport const changed = true;';

/** Each state of the code has a new folder, because a module is imported once. */
async function migrate(t: Test, db: Kysely<unknown>, files: Record<string, string>) {
  const folder = await createFolder(t);
  await writeFiles(folder, files);
  const { logger, lines } = captureLog();
  const applied = await migrateEmbedded(db, folder, logger);
  return { applied, lines };
}

async function listColumns(db: Kysely<unknown>, table: string): Promise<string[]> {
  const tables = await db.introspection.getTables();
  return tables.find(({ name }) => name === table)?.columns.map(({ name }) => name) ?? [];
}

test('Migrations in development', async (t) => {
  const pglite = await openEmbeddedDatabase();
  const statements: string[] = [];
  const log = ({ query }: LogEvent) => void statements.push(query.sql);
  const db = new Kysely<unknown>({ dialect: new PGliteDialect({ pglite }), log });
  t.teardown(() => db.destroy());
  const cats = { '1-cats.mjs': create('cats', 'name') };
  const books = { ...cats, '2-books.mjs': create('books', 'name') };
  const edited = { ...cats, '2-books.mjs': create('books', 'author') };

  await t.test('A changed migration is applied again while its table is empty', async (t) => {
    t.strictSame((await migrate(t, db, books)).applied, ['1-cats', '2-books']);
    await sql`insert into cats values ('Tom')`.execute(db);
    t.strictSame((await migrate(t, db, edited)).applied, ['2-books']);
    t.strictSame(await listColumns(db, 'books'), ['author']);
    t.strictSame((await migrate(t, db, edited)).applied, []);
    t.strictSame((await sql`select * from cats`.execute(db)).rows, [{ name: 'Tom' }]);
  });

  await t.test('An unchanged migration is not written at a start', async (t) => {
    const updates = () => statements.filter((statement) => statement.startsWith('update')).length;
    const before = updates();
    t.strictSame((await migrate(t, db, edited)).applied, []);
    t.equal(updates(), before);
    await sql`update kysely_migration set code = null where name = '1-cats'`.execute(db);
    t.strictSame((await migrate(t, db, edited)).applied, []);
    t.equal(updates(), before + 2, 'except one that has no source yet');
  });

  await t.test('Compiled migrations of the built app are no change', async (t) => {
    const compiled = { '1-cats.js': '// compiled', '2-books.js': '// compiled' };
    const { applied, lines } = await migrate(t, db, compiled);
    t.strictSame({ applied, lines }, { applied: [], lines: [] });
    t.strictSame((await migrate(t, db, edited)).applied, []);
  });

  for (const [name, format] of Object.entries(FORMATS))
    await t.test(`Another format is no change: ${name}`, async (t) => {
      const formatted = { ...edited, '2-books.mjs': format(create('books', 'author')) };
      t.not(formatted['2-books.mjs'], edited['2-books.mjs']);
      t.strictSame((await migrate(t, db, formatted)).applied, []);
      t.strictSame((await migrate(t, db, edited)).applied, []);
    });

  await t.test('A changed text is a change, and so is code that cannot be read', async (t) => {
    const spaced = { ...edited, '2-books.mjs': create('books', 'a uthor') };
    t.strictSame((await migrate(t, db, spaced)).applied, ['2-books']);
    t.strictSame((await migrate(t, db, edited)).applied, ['2-books']);
    await t.rejects(migrate(t, db, { ...edited, '2-books.mjs': 'export const up = (' }), {
      message: /2-books.*Fix it, or: .*db:reset/s,
    });
  });

  await t.test(
    'A changed migration is refused if applying it again would lose or change rows',
    async (t) => {
      await sql`insert into books values ('Woolf')`.execute(db);
      await t.rejects(migrate(t, db, books), {
        message:
          /^Migration 2-books was changed after .* would lose or change rows\. Fix it, or: .*db:reset/,
      });
      t.strictSame((await sql`select * from books`.execute(db)).rows, [{ author: 'Woolf' }]);
    },
  );

  await t.test('Rows of each table count, whatever its columns are, but not views', async (t) => {
    const view = `
      import { sql } from '${import.meta.resolve('kysely')}';
      export const up = (db) => sql\`create view mine as
        select * from owls where name = current_setting('app.tenant')\`.execute(db);
      export const down = (db) => db.schema.dropView('mine').execute();`;
    const owls = { ...edited, '3-owls.mjs': create('owls', 'name'), '4-mine.mjs': view };
    t.strictSame((await migrate(t, db, owls)).applied, ['3-owls', '4-mine']);
    const renamed = { ...owls, '3-owls.mjs': create('owls', 't') };
    const fixed = view.replace('name =', 't =');
    const named = { ...renamed, '4-mine.mjs': fixed };
    t.strictSame((await migrate(t, db, named)).applied, ['3-owls', '4-mine']);
    await sql`insert into owls values (null), ('Archimedes')`.execute(db);
    const changed = { ...named, '3-owls.mjs': `${create('owls', 't')}${CHANGE}` };
    await t.rejects(migrate(t, db, changed), { message: /would lose or change rows/ });
    t.equal((await sql`select * from owls`.execute(db)).rows.length, 2);
    // Then the columns have another order.
    const column = (name: string) => `
      export const up = (db) =>
        db.schema.alterTable('owls').addColumn('${name}', 'text').execute();
      export const down = (db) => db.schema.alterTable('owls').dropColumn('${name}').execute();`;
    const late = { ...named, '6-late.mjs': column('late') };
    const merged = { ...late, '5-early.mjs': column('early') };
    await migrate(t, db, late);
    await migrate(t, db, merged);
    // As jsonb, this would be an error.
    await sql`create table raw (value json)`.execute(db);
    await sql`insert into raw values ('{"a":"\\u0000"}')`.execute(db);
    const again = { ...merged, '5-early.mjs': `${column('early')}${CHANGE}` };
    t.strictSame((await migrate(t, db, again)).applied, ['5-early']);
    t.equal((await sql`select * from owls`.execute(db)).rows.length, 2);
    await sql`drop view mine`.execute(db);
    await sql`drop table raw`.execute(db);
    await sql`drop table owls`.execute(db);
    await sql`delete from kysely_migration where name > '3'`.execute(db);
  });

  await t.test(
    'A changed migration that cannot be undone is refused with the way to fix it',
    async (t) => {
      const up = 'export const up = () => { throw new Error("no") };';
      await t.rejects(migrate(t, db, { ...edited, '1-cats.mjs': up }), {
        message:
          /^Migration 1-cats was changed after .*: 1-cats has no down: no\. Fix it, or: .*reset/,
      });
      const down = `export const down = (db) => db.schema.dropTable('cats').execute();`;
      await t.rejects(migrate(t, db, { ...edited, '1-cats.mjs': up + down }), {
        message: /^Migration 1-cats was changed after it was applied: no\. Fix it, or: /,
      });
    },
  );

  await t.test('A migration of another branch logs one warning', async (t) => {
    const { lines } = await migrate(t, db, cats);
    t.match(lines, [{ level: 40, msg: /of other code: 2-books\. .*npm run db:reset/ }]);
  });

  await t.test("A migration that conflicts with another branch's migration names it", async (t) => {
    await t.rejects(migrate(t, db, { ...cats, '3-books.mjs': create('books', 'name') }), {
      message: /^Migration 3-books failed: .*already exists; .*of other code: 2-books\. Fix it/,
    });
  });

  await t.test('A new migration that fails names the way to fix it', async (t) => {
    await t.rejects(migrate(t, db, { ...edited, '3-cats.mjs': create('cats', 'name') }), {
      message: /^Migration 3-cats failed: .*already exists; .*\. Fix it, or: .*db:reset/,
    });
  });

  await t.test('A migration without a transaction is applied again, last or changed', async (t) => {
    const index = `
      import { sql } from '${import.meta.resolve('kysely')}';
      export const transaction = false;
      export async function up(db) {
        await sql\`drop index concurrently if exists by_name\`.execute(db);
        await sql\`create index concurrently by_name on hens (name)\`.execute(db);
      }`;
    const hens = { ...edited, '6-hens.mjs': create('hens', 'name'), '7-index.mjs': index };
    const later = { ...hens, '8-ducks.mjs': create('ducks', 'name') };
    const countIndexes = async () =>
      (await sql`select from pg_indexes where indexname = 'by_name'`.execute(db)).rows.length;
    await migrate(t, db, hens);
    t.equal(await countIndexes(), 1);
    const changedHens = { ...later, '6-hens.mjs': `${create('hens', 'name')}${CHANGE}` };
    t.strictSame((await migrate(t, db, changedHens)).applied, ['6-hens', '7-index', '8-ducks']);
    t.equal(await countIndexes(), 1);
    const changedIndex = { ...changedHens, '7-index.mjs': `${index}${CHANGE}` };
    t.strictSame((await migrate(t, db, changedIndex)).applied, ['7-index', '8-ducks']);
    t.equal(await countIndexes(), 1);
    t.strictSame((await migrate(t, db, changedIndex)).applied, []);

    const drop = (index: string) =>
      `export const down = (db) => sql\`drop index ${index}\`.execute(db);`;
    const undoable = { ...changedIndex, '7-index.mjs': index + drop('by_name') };
    t.strictSame((await migrate(t, db, undoable)).applied, ['7-index', '8-ducks']);
    const changedAgain = { ...undoable, '6-hens.mjs': create('hens', 'name') };
    t.strictSame((await migrate(t, db, changedAgain)).applied, ['6-hens', '7-index', '8-ducks']);
    t.equal(await countIndexes(), 1);
    const broken = { ...changedAgain, '7-index.mjs': index + drop('concurrently by_name') };
    await t.rejects(migrate(t, db, broken), {
      message: /^Migration 7-index was changed .*: the down of 7-index failed: .*transaction block/,
    });
    t.strictSame((await migrate(t, db, changedAgain)).applied, [], 'nothing was undone');
  });

  await t.test('Migrations after a changed one are applied again with it', async (t) => {
    const wheels = `
      export const up = (db) => db.schema.alterTable('cars').addColumn('wheels', 'text').execute();
      export const down = (db) => db.schema.alterTable('cars').dropColumn('wheels').execute();`;
    const later = { ...edited, '5-wheels.mjs': wheels };
    await migrate(t, db, { ...later, '4-cars.mjs': create('cars', 'name') });
    await migrate(t, db, { ...later, '4-cars.mjs': create('cars', 'brand') });
    t.strictSame((await listColumns(db, 'cars')).sort(), ['brand', 'wheels']);
  });
});
