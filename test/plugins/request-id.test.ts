import { test } from 'tap';
import { buildTestApp, captureLog } from '../helper.ts';

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

test("contract 19: The router's X-Request-ID is used in the answer and the log", async (t) => {
  const { logger, lines } = captureLog();
  const app = await buildTestApp(t, {}, { logger });
  const ids = ['Root=1-67891233-abcdef012345678912345678', '0198b1a0/2+3.4:5_6', 'x'.repeat(200)];
  for (const id of ids) {
    const { headers } = await app.inject({ url: '/', headers: { 'x-request-id': id } });
    t.equal(headers['x-request-id'], id);
    t.equal(lines.at(-1)?.requestId, id);
  }
});

test('An X-Request-ID that is not safe to log is replaced', async (t) => {
  const app = await buildTestApp(t);
  for (const id of ['', 'two words', '"},{', 'x'.repeat(201), 'é', 'a,b']) {
    const { headers } = await app.inject({ url: '/', headers: { 'x-request-id': id } });
    t.match(headers['x-request-id'], UUID);
  }
});

test('A request without an X-Request-ID gets a new one', async (t) => {
  const app = await buildTestApp(t);
  const answers = await Promise.all([app.inject('/'), app.inject('/'), app.inject('/nowhere')]);
  const ids = answers.map(({ headers }) => String(headers['x-request-id']));
  for (const id of ids) t.match(id, UUID);
  t.equal(new Set(ids).size, 3);
});
