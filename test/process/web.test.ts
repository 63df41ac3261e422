import { test } from 'tap';
import manifest from '../../package.json' with { type: 'json' };
import { DOWN, startProcess } from '../helper.ts';

/* The built app, as a platform runs it. `npm run proof contract` tests it in full. */

test('The built app starts with its variables, serves, and drains at SIGTERM', async (t) => {
  const web = await startProcess(t, { entry: 'fixture', environment: { DATABASE_URL: DOWN } });
  const headers = { 'content-type': 'application/json' };
  const echo = await fetch(`${web.url}/echo`, { method: 'POST', headers, body: '{"text":"a"}' });
  t.strictSame(await echo.json(), { text: 'a' });
  const line = { level: 30, name: manifest.name, method: 'POST', path: '/echo', status: 200 };
  t.match(await web.waitForLine('request'), line);
  const held = fetch(`${web.url}/fixture/held`);
  await web.waitForLine('held');
  web.signal('SIGTERM');
  t.match(await web.waitForLine('Draining'), { level: 30, requests: 1 });
  t.equal((await fetch(`${web.url}/health/ready`)).status, 503);
  web.write('answer');
  const answer = await held;
  t.equal(answer.status, 200);
  t.equal(answer.headers.get('connection'), 'close');
  t.equal(await web.exited, 0);
  t.match(web.lines.at(-1), { level: 30, msg: 'Drained' });
  t.strictSame(web.noise, []);
});

test('A bad environment ends the built app with one line before it listens', async (t) => {
  const environment = { DATABASE_URL: DOWN, PORT: '80000', HOST: 'mysql://root:hunter2@db/app' };
  const web = await startProcess(t, { entry: 'web', environment });
  t.equal(await web.exited, 1);
  t.equal(web.url, '');
  t.match(web.lines, [{ level: 60, msg: /^The environment is not valid:\n/ }]);
  for (const name of ['PORT', 'HOST']) t.match(web.lines[0]?.msg, `  ${name} is `);
  t.notMatch(JSON.stringify([web.lines, web.noise]), 'hunter2');
});
