import { type Test, test } from 'tap';
import { type Environment, findFreePort, poll, startProcess, type TestProcess } from '../helper.ts';
import { startPostgres } from './postgres-server.ts';
import { Stream } from './stream.ts';
import { startTcpProxy } from './tcp-proxy.ts';

const startApp = (t: Test, environment: Environment): Promise<TestProcess> =>
  startProcess(t, {
    entry: 'web',
    environment: { RATE_LIMIT_MAX: '0', SHUTDOWN_DELAY_MS: '0', ...environment },
  });

const readPort = ({ url }: TestProcess) => Number(new URL(url).port);

async function readService({ url }: TestProcess): Promise<string | undefined> {
  const answer = await fetch(`${url}/health/ready`);
  const { status, services } = (await answer.json()) as {
    status: string;
    services: Record<string, { status: string }>;
  };
  return `${answer.status} ${status} ${services['backing-app']?.status}`;
}

async function postNote({ url }: TestProcess, title: string): Promise<void> {
  const headers = { 'content-type': 'application/json' };
  await fetch(`${url}/notes`, { method: 'POST', headers, body: JSON.stringify({ title }) });
}

/** Retries until it gets a list: a busy machine may be late once. */
async function listTitles(url: string): Promise<string[]> {
  let items: { title: string }[] | undefined;
  await poll(async () => {
    ({ items } = (await (await fetch(url)).json()) as { items?: { title: string }[] });
    return items !== undefined;
  });
  return items!.map(({ title }) => title);
}

/**
 * Three processes of this app: two with a database each, and one without, attached to the first.
 */
test("contract 6: An app reads another app's notes through its outages", async (t) => {
  const [mine, theirs] = [await startPostgres(t), await startPostgres(t)];
  let other = await startApp(t, { DATABASE_URL: theirs.url });
  const proxy = await startTcpProxy(t, readPort(other));
  const app = await startApp(t, {
    DATABASE_URL: mine.url,
    BACKING_APP_URL: proxy.url,
    REQUEST_TIMEOUT_MS: '5000',
  });
  await postNote(other, 'theirs');
  await postNote(app, 'mine');
  t.strictSame(await listTitles(`${app.url}/backing-app/notes`), ['theirs']);
  t.strictSame(await listTitles(`${app.url}/notes`), ['mine']);

  const stream = new Stream(`${app.url}/backing-app/notes`);
  t.teardown(() => stream.stop());
  const waitForMore = async (outcome: number, times = 20) => {
    const before = stream.count(outcome);
    await poll(() => stream.count(outcome) >= before + times);
  };
  await waitForMore(200);
  await poll(async () => (await readService(app)) === '200 ready up');

  other.signal('SIGKILL');
  await waitForMore(502);
  await poll(async () => (await readService(app)) === '200 degraded down');
  t.strictSame(await listTitles(`${app.url}/notes`), ['mine'], 'everything else goes on');

  other = await startApp(t, { DATABASE_URL: theirs.url });
  t.not(readPort(other), proxy.target);
  proxy.target = readPort(other);
  await waitForMore(200);
  await poll(async () => (await readService(app)) === '200 ready up');
  t.strictSame(await listTitles(`${app.url}/backing-app/notes`), ['theirs']);

  other.signal('SIGSTOP');
  await waitForMore(504);
  await poll(async () => (await readService(app)) === '200 degraded down');
  other.signal('SIGCONT');
  await waitForMore(200);
  await poll(async () => (await readService(app)) === '200 ready up');

  await stream.stop();
  for (const line of stream.describe()) t.comment(line);
  t.strictSame(
    app.lines.filter(({ status }) => status === 503),
    [],
  );
  t.equal(stream.lost, 0);
  t.strictSame(Object.keys(stream.outcomes).sort(), ['200', '502', '504']);
  app.signal('SIGTERM');
  t.equal(await app.exited, 0);
  t.strictSame(app.noise, []);
});

test('A rolling restart of the attached app fails no request', async (t) => {
  const { url: DATABASE_URL } = await startPostgres(t);
  let other = await startApp(t, { DATABASE_URL, SHUTDOWN_DELAY_MS: '1000' });
  const proxy = await startTcpProxy(t, readPort(other));
  const app = await startApp(t, { DATABASE_URL, BACKING_APP_URL: proxy.url });
  const stream = new Stream(`${app.url}/backing-app/notes`);
  t.teardown(() => stream.stop());
  for (let time = 0; time < 3; time++) {
    const before = stream.count(200);
    await poll(() => stream.count(200) >= before + 50);
    const next = await startApp(t, { DATABASE_URL, SHUTDOWN_DELAY_MS: '1000' });
    await poll(async () => (await fetch(`${next.url}/health/ready`)).status === 200);
    proxy.target = readPort(next);
    other.signal('SIGTERM');
    t.equal(await other.exited, 0);
    other = next;
  }
  await stream.stop();
  for (const line of stream.describe()) t.comment(line);
  t.strictSame(stream.outcomes, { 200: stream.sent });
});

test('A process attached to itself answers 502 and serves everything else', async (t) => {
  const { url: DATABASE_URL } = await startPostgres(t);
  const PORT = String(await findFreePort());
  const app = await startApp(t, {
    DATABASE_URL,
    PORT,
    BACKING_APP_URL: `http://user:hunter2@127.0.0.1:${PORT}`,
  });
  t.equal((await fetch(`${app.url}/backing-app/notes`)).status, 502);
  t.equal((await fetch(`${app.url}/notes`)).status, 200);
  t.equal(await readService(app), '200 degraded down');
  const asked = app.lines.filter(({ path }) => path === '/notes');
  t.match(asked[0], { status: 508 });
  t.notMatch(JSON.stringify(app.lines), 'hunter2');
});
