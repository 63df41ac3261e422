import { inspect } from 'node:util';
import type { FastifyInstance } from 'fastify';
import { sql } from 'kysely';
import type { Test } from 'tap';
import { translateError } from '../../../plugins/database/database-errors.ts';

/** An SQL expression, and its value in JavaScript. */
const READ: [expression: string, value: string][] = [
  ['count(*)', "'1'"],
  ['sum(1::int8)', "'1'"],
  ['9007199254740993', "'9007199254740993'"],
  ['1.50', "'1.50'"],
  ['1.5::float8', '1.5'],
  ['true', 'true'],
  [`'\\x01ff'::bytea`, '<Buffer 01 ff>'],
  ["date '2026-01-02'", '2026-01-01T18:30:00.000Z'],
  ["timestamp '2026-01-02 03:04'", '2026-01-01T21:34:00.000Z'],
  ["timestamptz '2026-01-02 03:04Z'", '2026-01-02T03:04:00.000Z'],
  ["timestamp 'infinity'", 'Infinity'],
  ["time '03:04'", "'03:04:00'"],
  ["interval '1 day 2 hours'", 'PostgresInterval { days: 1, hours: 2 }'],
  ['point(1, 2)', '{ x: 1, y: 2 }'],
  ["circle '<(1,2),3>'", '{ x: 1, y: 2, radius: 3 }'],
  [`'{"a":[1]}'::json`, '{ a: [ 1 ] }'],
  [`'{"a":[1]}'::jsonb`, '{ a: [ 1 ] }'],
  ["'a'::mood", "'a'"],
  ['array[1, null]', '[ 1, null ]'],
  ['array[1::int8]', "[ '1' ]"],
  ['array[1.50]', '[ 1.5 ]'],
  ["array['a,b', 'c']", "[ 'a,b', 'c' ]"],
  [`array['\\x01'::bytea]`, '[ <Buffer 01> ]'],
  ["array[date '2026-01-02']", '[ 2026-01-01T18:30:00.000Z ]'],
  [`array['{"a":1}'::jsonb]`, '[ { a: 1 } ]'],
  ["array['a'::mood]", "'{a}'"],
  ["array[B'1']", "'{1}'"],
];

/** A value in JavaScript, the type of its column, and its text in the database. */
const WRITTEN: [value: unknown, type: string, text: string][] = [
  [new Date('2026-01-01T18:30:00Z'), 'date', '2026-01-02'],
  [new Date('2026-01-01T21:34:00Z'), 'timestamp', '2026-01-02 03:04:00'],
  [new Date('2026-01-02T03:04:00Z'), 'timestamptz', '2026-01-02 03:04:00+00'],
  [Buffer.from([1, 255]), 'bytea', '\\x01ff'],
  [Uint8Array.of(1, 255), 'bytea', '\\x01ff'],
  [9_007_199_254_740_993n, 'int8', '9007199254740993'],
  [true, 'boolean', 'true'],
  [{ a: [1] }, 'json', '{"a":[1]}'],
  ['"a"', 'jsonb', '"a"'],
  [[1, null], 'int4[]', '{1,NULL}'],
  [['a,b'], 'text[]', '{"a,b"}'],
  [['a'], 'mood[]', '{a}'],
];

/** Every database gives and takes the same values. */
export async function testValues(t: Test, { db }: FastifyInstance): Promise<void> {
  // Dates without a time zone are local.
  const { TZ = 'UTC' } = process.env;
  t.teardown(() => Object.assign(process.env, { TZ }));
  process.env.TZ = 'Asia/Kolkata';
  await sql`create type mood as enum ('a')`.execute(db);
  for (const [expression, value] of READ) {
    const { rows } = await sql<object>`select ${sql.raw(expression)} as value`.execute(db);
    t.strictSame(
      rows.map((row) => inspect(row)),
      [`{ value: ${value} }`],
      expression,
    );
  }
  await sql`set time zone 'UTC'`.execute(db);
  for (const [value, type, text] of WRITTEN) {
    const read = sql`select ${value}::${sql.raw(type)}::text as text`.execute(db);
    t.strictSame((await read).rows, [{ text }], type);
  }
  await t.rejects(sql`select ${[1]}::jsonb`.execute(db), 'pg sends an array as an SQL array');

  const readPid = async () => (await sql`select pg_backend_pid() as pid`.execute(db)).rows[0];
  const before = await readPid();
  const tooMany = sql.join(Array.from({ length: 65_536 }, () => sql`${1}`));
  const error = await sql`select where 1 in (${tooMany})`.execute(db).catch((error) => error);
  t.match(error, { code: '08P01', message: /65536/ });
  t.equal(translateError(error), undefined, 'too many values are a mistake of the app');
  t.strictSame(await readPid(), before, 'and its connection is kept');
}
