import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { FastifyInstance } from 'fastify';
import { type Test, test } from 'tap';
import { createEmbeddedDatabase } from '../../fixture/embedded-database.ts';
import { buildTestApp, captureLog, DOWN } from '../../helper.ts';

/** Builds an app with notes, and another one without a database, to which it is attached. */
async function buildPair(
  t: Test,
  url?: string,
): Promise<{ other: FastifyInstance; app: FastifyInstance }> {
  const other = await buildTestApp(t, {
    DATABASE_URL: url ?? `pglite:${await createEmbeddedDatabase()}`,
  });
  const address = await other.listen({ host: '127.0.0.1', port: 0 });
  return { other, app: await buildTestApp(t, { DATABASE_URL: DOWN, BACKING_APP_URL: address }) };
}

test('GET /backing-app/notes answers what GET /notes of the attached app answers', async (t) => {
  const { other, app } = await buildPair(t);
  t.strictSame((await app.inject('/backing-app/notes')).json(), { items: [], next: null });
  for (const title of ['one', 'two', 'three'])
    await other.inject({ method: 'POST', url: '/notes', payload: { title } });

  const answer = await app.inject('/backing-app/notes');
  t.equal(answer.statusCode, 200);
  t.match(answer.json().items, [{ title: 'three' }, { title: 'two' }, { title: 'one' }]);
  t.strictSame(answer.json(), (await other.inject('/notes')).json());

  const first = (await app.inject('/backing-app/notes?limit=2')).json();
  t.match(first.items, [{ title: 'three' }, { title: 'two' }]);
  const second = (await app.inject(`/backing-app/notes?limit=2&after=${first.next}`)).json();
  t.match(second, { items: [{ title: 'one' }], next: null });
});

test('GET /backing-app/notes answers 400 for an invalid page', async (t) => {
  const app = await buildTestApp(t, { DATABASE_URL: DOWN });
  for (const query of ['limit=0', 'limit=101', 'limit=many', 'after=1']) {
    t.equal((await app.inject(`/backing-app/notes?${query}`)).statusCode, 400, query);
  }
});

test('GET /backing-app/notes omits keys that its schema does not have', async (t) => {
  const asked: string[] = [];
  const server = createServer((request, response) => {
    asked.push(request.url as string);
    response.setHeader('content-type', 'application/json').end('{"items":[],"next":null}');
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  t.teardown(() => server.close());
  const { port } = server.address() as AddressInfo;
  const BACKING_APP_URL = `http://127.0.0.1:${port}`;
  const app = await buildTestApp(t, { DATABASE_URL: DOWN, BACKING_APP_URL });
  for (const query of ['limit=2&admin=true&token=a', 'limit=2&constructor=1', 'a=b&limit=2'])
    t.equal((await app.inject(`/backing-app/notes?${query}`)).statusCode, 200);
  t.strictSame(new Set(asked), new Set(['/notes?limit=2']));
});

test('GET /backing-app/notes answers 503 if no app is attached', async (t) => {
  const app = await buildTestApp(t, { DATABASE_URL: DOWN });
  t.equal((await app.inject('/backing-app/notes')).statusCode, 503);
});

test('GET /backing-app/notes answers 502 while the attached app has no database', async (t) => {
  const { app } = await buildPair(t, DOWN);
  const answer = await app.inject('/backing-app/notes');
  t.equal(answer.statusCode, 502);
  t.equal(answer.json().message, 'Bad Gateway');
});

test('Both apps log the same request id', async (t) => {
  const mine = captureLog();
  const theirs = captureLog();
  const other = await buildTestApp(t, { DATABASE_URL: DOWN }, { logger: theirs.logger });
  const url = await other.listen({ host: '127.0.0.1', port: 0 });
  const app = await buildTestApp(
    t,
    { DATABASE_URL: DOWN, BACKING_APP_URL: url },
    { logger: mine.logger },
  );
  await app.inject({ url: '/backing-app/notes', headers: { 'x-request-id': 'the-id' } });
  t.match(mine.lines.at(-1), { path: '/backing-app/notes', requestId: 'the-id' });
  t.ok(theirs.lines.some(({ path, requestId }) => path === '/notes' && requestId === 'the-id'));
});
