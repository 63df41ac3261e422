import pg from 'pg';
import { test } from 'tap';
import { DatabaseUnavailable, translateError } from '../../../plugins/database/database-errors.ts';
import { openEmbeddedDatabase } from '../../fixture/embedded-database.ts';

function fail(code: string | undefined, message = 'secret'): pg.DatabaseError {
  return Object.assign(new pg.DatabaseError(message, 0, 'error'), { code });
}

const STATUSES: Record<number, string[]> = {
  409: ['23000', '23505', '23P01', '23001', '23503'],
  422: ['23502', '23514', '22001', '22003', '22P02', '22007', '44000', '54000'],
  503: [
    ...['40001', '40P01', '08006', '25006', '25P03', '25P04', '28P01', '3D000', '53300', '55P03'],
    ...['55006', '57014', '57P01', '08P01'],
  ],
};

for (const [status, codes] of Object.entries(STATUSES)) {
  test(`A database error with one of ${codes.join(', ')} answers ${status}`, (t) => {
    for (const code of codes) {
      const error = translateError(fail(code));
      t.equal(error?.statusCode, Number(status), code);
      t.notMatch(error?.message, 'secret');
    }
    t.end();
  });
}

test('A child without its parent answers 422; a parent with children answers 409', (t) => {
  // Messages of PostgreSQL 15 in languages with other quotes or another order.
  const children = [
    'insert or update on table "books" violates foreign key constraint "author"',
    'Einfügen oder Aktualisieren in Tabelle »books« verletzt Fremdschlüssel-Constraint »author«',
    'テーブル"books"への挿入、更新は外部キー制約"author"に違反しています',
  ];
  const parents = [
    'update or delete on table "authors" violates foreign key constraint "author" on table "books"',
    'UPDATE ou DELETE sur la table « authors » viole la contrainte de clé étrangère « author » de la table « books »',
    '在 "authors" 上的更新或删除操作违反了在 "books" 上的外键约束 "author"',
  ];
  for (const message of children)
    t.match(translateError(fail('23503', message)), { statusCode: 422, code: 'UNKNOWN_REFERENCE' });
  for (const message of parents)
    t.match(translateError(fail('23503', message)), { statusCode: 409, code: 'CONFLICT' });
  t.end();
});

test('A foreign key error of a real PostgreSQL is told apart for child and parent', async (t) => {
  const pglite = await openEmbeddedDatabase();
  t.teardown(() => pglite.close());
  await pglite.exec(`
    create table people (id int primary key, boss int references people);
    insert into people values (1, 1);
  `);
  const fail = (sql: string) => pglite.query(sql).catch(translateError);
  t.match(await fail('insert into people values (2, 3)'), { code: 'UNKNOWN_REFERENCE' });
  t.match(await fail('update people set boss = 3'), { code: 'UNKNOWN_REFERENCE' });
  t.match(await fail('update people set id = 2'), { code: 'CONFLICT' });
});

test('An error of the database answers the same if another library has wrapped it', (t) => {
  const wrap = (cause: unknown) => new Error('Failed query: insert …', { cause });
  t.match(translateError(wrap(fail('23505'))), { statusCode: 409 });
  t.match(translateError(wrap(new DatabaseUnavailable(new Error('away')))), { statusCode: 503 });
  for (const cause of [undefined, 'gone', new Error('gone'), fail('42703')])
    t.equal(translateError(wrap(cause)), undefined);
  const circular = new Error('a');
  circular.cause = Object.assign(new Error('b'), { cause: circular });
  t.equal(translateError(circular), undefined);
  const own = Object.assign(wrap(fail('23505')), { statusCode: 418 });
  t.equal(translateError(own), undefined, 'an error with a status of its own keeps it');
  t.end();
});

test('A serialization failure or deadlock answers 503 with Retry-After: 1', (t) => {
  for (const code of ['40001', '40002', '40P01'])
    t.match(translateError(fail(code)), { code: 'TRY_AGAIN', retryAfter: 1 });
  t.end();
});

test('A cursor whose connection breaks answers 503', (t) => {
  for (const message of [
    'Connection terminated unexpectedly',
    'Client has encountered a connection error and is not queryable',
  ])
    t.match(translateError(new Error(message)), { statusCode: 503 });
  t.end();
});

test('A protocol error, which has no code, answers 503', (t) => {
  t.match(translateError(fail(undefined)), { statusCode: 503, code: 'SERVICE_UNAVAILABLE' });
  t.end();
});

test('A database error that is a bug of the app is not translated', (t) => {
  for (const code of ['42703', '42P01', '42601', '25P02', '55000', 'P0001', 'XX000'])
    t.equal(translateError(fail(code)), undefined, code);
  t.end();
});
