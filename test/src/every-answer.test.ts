import { setImmediate } from 'node:timers/promises';
import Fastify from 'fastify';
import { test } from 'tap';
import { addVary, prepareAnswers } from '../../src/every-answer.ts';

test('A request waits until it is counted; one over the limit answers 429', async (t) => {
  const app = Fastify();
  t.teardown(() => app.close());
  prepareAnswers(app);
  let left = 1;
  app.decorate('countRequest', async () => {
    await setImmediate();
    if (left-- === 0) throw Object.assign(new Error('Too many.'), { statusCode: 429 });
  });
  app.get('/', async () => left);
  t.equal((await app.inject('/')).body, '0');
  t.equal((await app.inject('/')).statusCode, 429);
});

test('Vary lists each header that an answer depends on', async (t) => {
  const app = Fastify();
  t.teardown(() => app.close());
  app.get('/', async (_request, reply) => {
    for (const field of ['origin', 'accept']) addVary(reply, field);
  });
  t.equal((await app.inject('/')).headers.vary, 'origin, accept');
  const headers = new Headers();
  addVary({ header: (name: string, value: string) => headers.set(name, value) } as never, 'origin');
  t.equal(headers.get('vary'), 'origin');
  const reply = {
    getHeader: () => '',
    header: (_: string, value: string) => headers.set('vary', value),
  };
  addVary(reply as never, 'accept');
  t.equal(headers.get('vary'), 'accept');
});
