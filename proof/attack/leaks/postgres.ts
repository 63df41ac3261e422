import pg from 'pg';
import type { Leak, Leaks } from '../leaks.ts';

/** Nothing listens on this port. */
const CLOSED = '127.0.0.1:1';

/** SQL that fails, so that PostgreSQL's message contains the secret parameter. */
const SQL = {
  unique: 'INSERT INTO keys (token, length) VALUES ($1, 30), ($1, 30)',
  check: 'INSERT INTO keys (token, length) VALUES ($1, -1)',
  'not null': 'INSERT INTO keys (token) VALUES ($1)',
  'foreign key': 'INSERT INTO keys (token, length, parent) VALUES ($1, 30, $1 || 1)',
  uuid: 'SELECT $1::uuid',
  integer: 'SELECT $1::text::integer',
  detail: 'SELECT fail($1)',
  context: 'SELECT run($1)',
};

const SCHEMA = `
  CREATE TABLE IF NOT EXISTS keys (token text PRIMARY KEY, parent text REFERENCES keys,
    length integer NOT NULL CHECK (length > 0));
  CREATE OR REPLACE FUNCTION fail(value text) RETURNS void LANGUAGE plpgsql AS
    $$BEGIN RAISE EXCEPTION 'failed' USING DETAIL = value, HINT = value; END$$;
  CREATE OR REPLACE FUNCTION run(value text) RETURNS void LANGUAGE plpgsql AS
    $$BEGIN EXECUTE 'SELECT 1 / 0 AS ' || quote_ident(value); END$$;`;

/** Errors and objects of pg. */
export const postgresLeaks: Leaks = {
  ...Object.fromEntries(
    Object.entries(SQL).map(([name, sql]): [string, Leak] => [
      name,
      (secret, { postgresUrl }) => query(sql, secret, postgresUrl),
    ]),
  ),
  'a URL with a closed port': (secret) => query('', '', `postgres://app:${secret}@${CLOSED}/app`),
  'an invalid URL': (secret) => query('', '', `postgres://app:${secret}@host:port/app`),
  'options of a pool': (secret) => {
    const connectionString = `postgres://app:${secret}@${CLOSED}/app`;
    return {
      pool: new pg.Pool({ connectionString }).options,
      client: new pg.Client(connectionString),
    };
  },
};

async function query(sql: string, secret: string, url: string): Promise<void> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    await client.query(SCHEMA);
    await client.query(sql, [secret]);
  } finally {
    await client.end();
  }
}
