import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { CompiledQuery, Kysely } from 'kysely';
import pg from 'pg';
import { type Test, test } from 'tap';
import { DatabaseUnavailable } from '../../../plugins/database/database-errors.ts';
import { createPool } from '../../../plugins/database/postgres.ts';
import { createDialect } from '../../../plugins/database/postgres-dialect.ts';
import { openPostgresPort } from '../../fixture/postgres-port.ts';
import { createFolder, poll } from '../../helper.ts';

/** Codes of a client's first message, in its second four bytes (PostgreSQL, 55.2.1 and 55.2.10). */
const TLS_REQUEST = 80877103;
const START = 196608;

/** Cancels the query of another connection (PostgreSQL, 55.2.8). */
const CANCEL_REQUEST = 80877102;

/** AuthenticationOk, BackendKeyData with process 1 and key 2, ReadyForQuery. */
const WELCOME = '5200000008000000004b0000000c00000001000000025a0000000549';

const IMPATIENT = { connectionTimeoutMillis: 1_000 };

/** Starts a server that answers a client's first message with one byte. */
async function openPort(
  t: Test,
  answer: string,
): Promise<{ url: string; firstMessages: number[] }> {
  const firstMessages: number[] = [];
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket.on('error', () => undefined));
    socket.once('data', (data) => {
      firstMessages.push(Buffer.from(data).readInt32BE(4));
      socket.write(answer);
    });
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  t.teardown(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return {
    url: `postgres://poort@127.0.0.1:${(server.address() as AddressInfo).port}/poort`,
    firstMessages,
  };
}

/** The time-out is long enough for a busy machine, except for a server that never answers. */
function connect(
  t: Test,
  url: string,
  options: pg.PoolConfig = {},
  tls?: 'off' | 'verify' | 'no-verify',
): Kysely<unknown> {
  const limits = { max: 1, connectionTimeoutMillis: 600_000, query_timeout: 600_000 };
  const pool = createPool(url, tls, { ...limits, ...options }, () => undefined);
  const db = new Kysely<unknown>({ dialect: createDialect(pool) });
  t.teardown(() => db.destroy());
  return db;
}

const ask = (db: Kysely<unknown>) => db.executeQuery(CompiledQuery.raw('select 1'));

test('DATABASE_TLS overrules the sslmode of the URL', async (t) => {
  const { url, firstMessages } = await openPort(t, 'N');
  await t.rejects(ask(connect(t, `${url}?sslmode=require`, IMPATIENT, 'off')), /timeout/);
  for (const tls of ['verify', 'no-verify'] as const) {
    await t.rejects(ask(connect(t, `${url}?sslmode=disable`, {}, tls)), /does not support SSL/);
  }
  t.strictSame(firstMessages, [START, TLS_REQUEST, TLS_REQUEST]);
});

test('Without DATABASE_TLS, the sslmode of the URL decides on TLS', async (t) => {
  const { url, firstMessages } = await openPort(t, 'N');
  await t.rejects(ask(connect(t, url, IMPATIENT)), /timeout/);
  await t.rejects(ask(connect(t, `${url}?sslmode=no-verify`)), /does not support SSL/);
  t.strictSame(firstMessages, [START, TLS_REQUEST]);
});

test('A server without TLS or with a wrong certificate is refused', async (t) => {
  const { url } = await openPort(t, 'N');
  const error = await ask(connect(t, url, {}, 'verify')).catch((error) => error);
  t.ok(error instanceof DatabaseUnavailable);
  t.match(error, { message: /^TLS failed: .*DATABASE_TLS=off if/, cause: Error });
  const codes = [
    'DEPTH_ZERO_SELF_SIGNED_CERT',
    'SELF_SIGNED_CERT_IN_CHAIN',
    'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
    'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
    'CERT_HAS_EXPIRED',
    'ERR_TLS_CERT_ALTNAME_INVALID',
    'ERR_SSL_WRONG_VERSION_NUMBER',
  ];
  for (const code of codes) {
    const cause = Object.assign(new Error('refused'), { code });
    t.match(new DatabaseUnavailable(cause), { message: /sslrootcert=FILE/, code, cause }, code);
  }
});

test('Another connection error has its own message, or its code', (t) => {
  t.match(new DatabaseUnavailable(new Error('other')), { message: 'No database: other' });
  const both = Object.assign(new AggregateError([]), { code: 'ECONNREFUSED' });
  t.match(new DatabaseUnavailable(both), { message: 'No database: ECONNREFUSED' });
  t.end();
});

test('Queries that would wait too long for a connection are refused at once', async (t) => {
  const { url } = await openPort(t, '');
  const db = connect(t, url, IMPATIENT);
  const asked = await Promise.allSettled(Array.from({ length: 30 }, () => ask(db)));
  const refused = asked
    .filter(({ status }) => status === 'rejected')
    .map((result) => (result as PromiseRejectedResult).reason);
  t.equal(refused.length, 30);
  t.ok(refused.every((error) => error instanceof DatabaseUnavailable));
  t.ok(refused.some(({ message }) => /requests wait for a connection/.test(message)));
  const late = /none of the pool's 1 connections \(DATABASE_POOL_MAX\) became free within 1000 ms/;
  t.ok(refused.some(({ message }) => late.test(message)));
});

test('Closing does not wait for a connection that the server never completes', async (t) => {
  const { url, firstMessages } = await openPort(t, '');
  const db = connect(t, url);
  ask(db).catch(() => undefined);
  await poll(() => firstMessages.length > 0);
  await t.resolves(db.destroy());
});

test('A late query on a Unix socket is cancelled through that socket', async (t) => {
  const folder = await createFolder(t);
  const cancelled: Buffer[] = [];
  const server = createServer((socket) =>
    socket
      .on('error', () => undefined)
      .on('data', (data: Buffer) => {
        const kind = data.readInt32BE(4);
        if (kind === START) socket.write(Buffer.from(WELCOME, 'hex'));
        if (kind !== CANCEL_REQUEST) return;
        cancelled.push(data);
        socket.destroy();
      }),
  );
  await once(server.listen(path.join(folder, '.s.PGSQL.5432')), 'listening');
  t.teardown(() => server.close());
  const url = `postgres://poort@/poort?host=${folder}`;
  await t.rejects(ask(connect(t, url, { query_timeout: 100 })), DatabaseUnavailable);
  t.strictSame(
    cancelled.map((data) => data.toString('hex', 8)),
    ['0000000100000002'],
  );
});

test('A connection whose late query cannot be cancelled is discarded', async (t) => {
  const server = createServer((socket) =>
    socket
      .on('error', () => undefined)
      .once('data', () => {
        socket.write(Buffer.from(WELCOME, 'hex'));
        server.close();
      }),
  );
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const { port } = server.address() as AddressInfo;
  const db = connect(t, `postgres://poort@127.0.0.1:${port}/poort`, { query_timeout: 100 });
  await t.rejects(ask(db), DatabaseUnavailable);
  await t.rejects(ask(db), { cause: { code: 'ECONNREFUSED' } });
});

test('A server that admits no more connections leaves those of the pool to all', async (t) => {
  const refusal = 'SFATAL\0C53300\0Mtoo many connections for role "poort"\0\0';
  const length = Buffer.alloc(4);
  length.writeInt32BE(4 + refusal.length);
  const welcome = Buffer.from(WELCOME, 'hex');
  let free = 0;
  // It leaves a connection open that the client has ended, as behind a dead network.
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    t.teardown(() => socket.destroy());
    socket
      .on('error', () => undefined)
      .once('data', () => {
        if (free-- > 0) socket.write(welcome);
        else socket.end(Buffer.concat([Buffer.from('E'), length, Buffer.from(refusal)]));
      });
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  t.teardown(() => server.close());
  const { port } = server.address() as AddressInfo;
  const url = `postgres://poort@127.0.0.1:${port}/poort`;
  const limits = { max: 5, connectionTimeoutMillis: 600_000, idleTimeoutMillis: 100 };
  const pool = createPool(url, undefined, limits, () => undefined);
  t.teardown(() => pool.end());
  const refused = { name: 'DatabaseUnavailable', code: '53300' };
  await t.rejects(pool.connect(), refused);
  free = 1;
  const first = await pool.connect();
  const waiting = [pool.connect(), pool.connect()];
  await poll(() => pool.waitingCount === 2);
  t.equal(pool.totalCount, 1);
  // All requests of a pool with five connections may wait for the one.
  while (waiting.length < 100) waiting.push(pool.connect());
  const isFull = { message: /5 connections .*; the full server admits 1\)$/ };
  await t.rejects(pool.connect(), isFull);
  const passed = new Promise<unknown[]>((resolve) => pool.connect((...all) => resolve(all)));
  const full = { name: 'DatabaseUnavailable', ...isFull };
  t.match(await passed, [full, undefined, Function], 'also for a callback');
  first.release();
  for (const next of waiting) (await next).release();
  await poll(() => pool.idleCount === 0 && pool.options.max === 5);
  await t.rejects(pool.connect(), refused, 'a connection that is being closed is none');
});

test('The pool gives a connection to a callback too', async (t) => {
  const { url } = await openPostgresPort(t);
  const limits = { max: 1, connectionTimeoutMillis: 600_000, query_timeout: 600_000 };
  const pool = createPool(url, undefined, limits, () => undefined);
  t.teardown(() => pool.end());
  for (let time = 0; time < 2; time++) {
    const rows = await new Promise((resolve, reject) =>
      pool.connect((error, client, done) => {
        if (!client) return reject(error);
        client.query('select 1 as one').then((result) => resolve(result.rows), reject);
        client.once('drain', () => done());
      }),
    );
    t.strictSame(rows, [{ one: 1 }]);
  }
});

test('A cursor may take longer than a query', async (t) => {
  const { url, pause, resume } = await openPostgresPort(t);
  const limits = { max: 1, connectionTimeoutMillis: 600_000, query_timeout: 100 };
  const pool = createPool(url, undefined, limits, () => undefined);
  t.teardown(() => pool.end());
  const client = await pool.connect();
  pause();
  // pg-cursor and pg-query-stream are submitted like pg's own object.
  const cursor = client.query(new pg.Query('select 1 as one'));
  const ended = once(cursor, 'end');
  await sleep(300);
  resume();
  t.match(await ended, [{ rows: [{ one: 1 }] }]);
  class Statement {
    get text() {
      return 'select 2 as two';
    }
  }
  t.match(await client.query(new Statement()), { rows: [{ two: 2 }] });
  pause();
  const late = { text: 'select 2 as two', query_timeout: 50 };
  await t.rejects(client.query(late), { cause: { message: 'Query read timeout' } });
  resume();
  client.release();
});
