import { type Test, test } from 'tap';
import { createEmbeddedDatabase } from '../../test/fixture/embedded-database.ts';
import { type Environment, startProcess, type TestProcess } from '../../test/helper.ts';

const startFixture = (t: Test, environment: Environment) =>
  startProcess(t, {
    entry: 'fixture',
    environment: { SHUTDOWN_DELAY_MS: '0', REQUEST_TIMEOUT_MS: '600000', ...environment },
  });

async function countVisit({ url }: TestProcess): Promise<number> {
  const answer = await fetch(`${url}/fixture/database/visits`, { method: 'POST' });
  return ((await answer.json()) as { visits: number }).visits;
}

test('The embedded database', async (t) => {
  const environment = { DATABASE_URL: `pglite:${await createEmbeddedDatabase()}` };
  const first = await startFixture(t, environment);
  t.equal(await countVisit(first), 1);

  await t.test(
    'A second process is refused the database, says so, and serves what needs none',
    async (t) => {
      const second = await startFixture(t, environment);
      const line = await second.waitForLine('The database is not ready');
      const message = new RegExp(
        `^Process ${first.pid} has the embedded database in .* open\\. .* Stop that process`,
      );
      t.match(line.err, { message });
      t.equal((await fetch(`${second.url}/health/ready`)).status, 503);
      t.equal((await fetch(`${second.url}/fixture/database`)).status, 500);
      t.equal((await fetch(second.url)).status, 200);
    },
  );

  await t.test('The data is kept when the process stops, and when it is killed', async (t) => {
    first.signal('SIGTERM');
    t.equal(await first.exited, 0);
    const next = await startFixture(t, environment);
    t.equal(await countVisit(next), 2);
    next.signal('SIGKILL');
    t.equal(await next.exited, 'SIGKILL');
    t.equal(await countVisit(await startFixture(t, environment)), 3);
  });
});
