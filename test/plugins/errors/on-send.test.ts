import { test } from 'tap';
import { buildAppWithRoutes } from '../../helper.ts';

/** Errors that an onSend hook throws, as code. */
const THROWN = {
  'an error': 'new Error("hunter2")',
  null: 'null',
  'a text': '"hunter2"',
  'an error of a library':
    'Object.assign(new Error("hunter2"), { statusCode: 404, headers: { "x-leak": "hunter2" } })',
  'an error that cannot be read': `Object.defineProperties(new Error("hunter2"), Object.fromEntries(
    ["code", "message", "statusCode", "headers", "stack"].map((name) => [
      name,
      { get() { throw new Error("hunter2") } },
    ]),
  ))`,
};

for (const [name, thrown] of Object.entries(THROWN)) {
  test(`An onSend hook that throws ${name} on a 4xx answers 500 in the common shape`, async (t) => {
    const { app, lines } = await buildAppWithRoutes(
      t,
      `import createError from '${import.meta.resolve('@fastify/error')}';
       const Taken = createError('TAKEN', 'Taken.', 409);
       const onSend = async () => { throw ${thrown} };
       export default async (app) => {
         app.get('/made', { onSend }, async () => { throw new Taken() });
         app.get('/sent', { onSend }, async (request, reply) => reply.code(404).send({}));
         const called = (request, reply, payload, done) =>
           void onSend().catch((error) => done(error ?? new Error()));
         app.get('/called', { onSend: called }, async () => { throw new Taken() });
       };`,
    );
    for (const url of ['/made', '/sent', '/called']) {
      const answer = await app.inject(`${url}?token=hunter2`);
      t.equal(answer.statusCode, 500);
      t.match(answer.json(), { statusCode: 500, code: 'INTERNAL_SERVER_ERROR' });
      t.match(answer.headers, { 'x-request-id': String });
      t.notMatch(answer.body + JSON.stringify(answer.headers), 'hunter2');
    }
    t.match(lines, Array(3).fill({ level: 50, status: 500, err: { stack: String } }));
    t.equal(lines.length, 3);
  });
}

test('An onSend hook may change or refuse an answer', async (t) => {
  const { app } = await buildAppWithRoutes(
    t,
    `import createError from '${import.meta.resolve('@fastify/error')}';
     const Taken = createError('TAKEN', 'Taken.', 409);
     export default async (app) => {
       app.get('/refused', { onSend: async () => { throw new Taken() } }, async () => ({}));
       app.get('/changed', { onSend: async (request, reply) => void reply.header('x-mine', '1') },
         async () => { throw new Taken() });
     };`,
  );
  const refused = await app.inject('/refused');
  t.match(refused.json(), { statusCode: 409, code: 'TAKEN', message: 'Taken.' });
  t.match((await app.inject('/changed')).headers, { 'x-mine': '1' });
});

test('What a handler sends after a 4xx is not sent, and is logged', async (t) => {
  const { app, lines } = await buildAppWithRoutes(
    t,
    `import createError from '${import.meta.resolve('@fastify/error')}';
     const Taken = createError('TAKEN', 'Taken.', 409);
     const send = (request, reply) => {
       reply.send(new Taken());
       reply.send('again');
     };
     export default async (app) => {
       app.get('/twice', send);
       const onSend = () => new Promise((resolve) => setTimeout(resolve, 5));
       app.get('/slow', { onSend }, send);
       app.get('/broken', { onSend }, async (request, reply) => {
         reply.send(new Taken());
         throw new Error('a bug of the app');
       });
     };`,
  );
  t.equal((await app.inject('/broken')).statusCode, 409);
  t.match(
    lines.filter(({ level }) => level >= 40),
    [{ level: 50, err: { message: 'a bug of the app' } }],
  );
  for (const path of ['/twice', '/slow']) {
    lines.length = 0;
    const answer = await app.inject(path);
    t.equal(answer.statusCode, 409);
    t.match(answer.json(), { code: 'TAKEN' });
    t.match(
      lines.filter(({ level }) => level >= 40),
      [{ level: 40, err: { code: 'FST_ERR_REP_ALREADY_SENT' } }],
    );
  }
});
