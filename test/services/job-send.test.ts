import { sql } from 'kysely';
import { type Test, test } from 'tap';
import { buildTestApp, type Environment } from '../helper.ts';
import { startPostgres } from './postgres-server.ts';

const jobs = [new URL('../fixture/jobs/', import.meta.url)];

/** Starts a PostgreSQL with the queues of test/fixture's jobs; `build` builds an app that uses it. */
async function setScene(t: Test) {
  const postgres = await startPostgres(t);
  const build = (environment: Environment = {}) =>
    buildTestApp(t, { DATABASE_URL: postgres.url, ...environment }, { jobs });
  const app = await build();
  await app.readiness.release();
  return { postgres, app, build };
}

test('The first send needs no connection but the one of its transaction', async (t) => {
  const { postgres, app, build } = await setScene(t);
  const count = async () => {
    const { rows } = await sql<{ id: string }>`select id from pgboss.job`.execute(app.db);
    return rows.length;
  };

  await t.test('DATABASE_POOL_MAX=1, and the database was down at the start', async (t) => {
    await postgres.kill();
    const { db, jobs } = await build({ DATABASE_POOL_MAX: '1' });
    await t.rejects(jobs.send('work', { how: 'end' }), { code: 'ECONNREFUSED' });
    await postgres.start();
    const [inside, outside] = await db.transaction().execute(async (transaction) => {
      await sql`select 1`.execute(transaction);
      // It waits for the connection, and must not keep the other one waiting.
      const outside = jobs.send('work', { how: 'end' });
      return [await jobs.send('work', { how: 'end' }, { transaction }), outside];
    });
    t.type(inside, 'string');
    t.type(await outside, 'string');
    t.equal(await count(), 2);
  });

  await t.test('Ten transactions that hold all connections', async (t) => {
    const { db, jobs } = await build();
    const { promise: allHold, resolve } = Promise.withResolvers<void>();
    let held = 0;
    const send = () =>
      db.transaction().execute(async (transaction) => {
        await sql`select 1`.execute(transaction);
        held += 1;
        if (held === 10) resolve();
        await allHold;
        return jobs.send('work', { how: 'end' }, { transaction });
      });
    const ids = await Promise.all(Array.from({ length: 10 }, send));
    t.equal(new Set(ids).size, 10);
    t.equal(await count(), 12);
  });

  await t.test('A queue that was released after the first send', async (t) => {
    const { db, jobs } = await build({ DATABASE_POOL_MAX: '1' });
    const send = () =>
      db.transaction().execute((transaction) => jobs.send('work', { how: 'end' }, { transaction }));
    const without = await buildTestApp(t, { DATABASE_URL: postgres.url });
    await without.readiness.release();
    await t.rejects(send(), { message: /Queue work does not exist/ });
    await app.readiness.release();
    t.type(await send(), 'string');
  });
});
