import { test } from 'tap';
import { DOWN, type Environment, startProcess } from '../../test/helper.ts';
import { copyBuild } from '../../test/process/copy-build.ts';
import { readFailure } from './read-failure.ts';

test('While the database is down, the built app serves, and readiness is down', async (t) => {
  const web = await startProcess(t, { entry: 'web', environment: { DATABASE_URL: DOWN } });
  const ready = await fetch(`${web.url}/health/ready`);
  t.equal(ready.status, 503);
  t.match(await ready.json(), {
    status: 'unavailable',
    services: { database: { status: 'down' } },
  });
  t.equal((await fetch(`${web.url}/health/live`)).status, 200);
  t.equal((await fetch(web.url)).status, 200);
  t.notMatch(JSON.stringify(web.lines), 'hunter2');
});

test('While the database is down, a release ends with 1, and its last line says why', async (t) => {
  const release = await startProcess(t, { entry: 'release', environment: { DATABASE_URL: DOWN } });
  t.equal(await release.exited, 1);
  t.match(release.lines.at(-1), { level: 60, err: { code: 'ECONNREFUSED', stack: String } });
  t.notMatch(JSON.stringify(release.lines), 'hunter2');
});

test('Without a valid DATABASE_URL, the built app ends before it listens', async (t) => {
  const start = (environment: Environment) => startProcess(t, { entry: 'web', environment });
  t.match(
    await readFailure(t, await start({})),
    /^The environment is not valid:\n {2}DATABASE_URL is missing/,
  );
  const message = await readFailure(
    t,
    await start({ PORT: 'http', DATABASE_URL: 'mysql://root:hunter2@db/app' }),
  );
  for (const name of ['PORT', 'DATABASE_URL']) t.match(message, `  ${name} is `);
  t.notMatch(message, 'hunter2');
});

test('The built app without PGlite', async (t) => {
  const folder = await copyBuild(t, ['@electric-sql']);

  await t.test('A pglite: URL ends the built app with the way to fix it', async (t) => {
    for (const entry of ['web', 'release'] as const) {
      const environment = { DATABASE_URL: 'pglite:memory' };
      const message = await readFailure(t, await startProcess(t, { entry, environment, folder }));
      t.match(
        message,
        /embedded database.* is not installed here\. Set DATABASE_URL to a postgres:\/\/ URL/,
      );
    }
  });

  await t.test('The built app starts with another database', async (t) => {
    const web = await startProcess(t, {
      entry: 'web',
      environment: { DATABASE_URL: DOWN },
      folder,
    });
    t.equal((await fetch(web.url)).status, 200);
  });
});
