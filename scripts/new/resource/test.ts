import { randomUUID } from 'node:crypto';
import { test } from 'tap';
import { createEmbeddedDatabase } from '../../../test/fixture/embedded-database.ts';
import { buildTestApp } from '../../../test/helper.ts';

test('/sample-things', async (t) => {
  const DATABASE_URL = `pglite:${await createEmbeddedDatabase()}`;
  const app = await buildTestApp(t, { DATABASE_URL, RATE_LIMIT_MAX: '0' });
  const create = async (name: string) =>
    (await app.inject({ method: 'POST', url: '/sample-things', payload: { name } })).json();

  await t.test('POST /sample-things answers 201 with the result and its location', async (t) => {
    const answer = await app.inject({
      method: 'POST',
      url: '/sample-things',
      payload: { name: 'First' },
    });
    t.equal(answer.statusCode, 201);
    const created = answer.json();
    t.match(created, { id: String, name: 'First', createdAt: created.updatedAt });
    t.equal(answer.headers.location, `sample-things/${created.id}`);
    t.strictSame((await app.inject(`/sample-things/${created.id}`)).json(), created);
  });

  await t.test(
    'POST /sample-things answers 400 without a valid name and with an unknown field',
    async (t) => {
      for (const payload of [
        {},
        { name: '' },
        { name: 'x'.repeat(201) },
        { name: '\u0000' },
        { name: 'a', no: 'b' },
      ]) {
        const answer = await app.inject({ method: 'POST', url: '/sample-things', payload });
        t.equal(answer.statusCode, 400, JSON.stringify(payload));
      }
    },
  );

  await t.test('GET /sample-things answers page by page, without gaps or repeats', async (t) => {
    for (const name of ['Second', 'Third']) await create(name);
    const all = (await app.inject('/sample-things')).json();
    t.strictSame(
      all.items.map(({ name }: { name: string }) => name),
      ['Third', 'Second', 'First'],
    );
    t.equal(all.next, null);
    const page = (await app.inject('/sample-things?limit=2')).json();
    t.strictSame(page, { items: all.items.slice(0, 2), next: all.items[1].id });
    const rest = (await app.inject(`/sample-things?limit=2&after=${page.next}`)).json();
    t.strictSame(rest, { items: all.items.slice(2), next: null });
  });

  await t.test('PATCH /sample-things/:id answers with the change', async (t) => {
    const created = await create('Old');
    const url = `/sample-things/${created.id}`;
    const answer = await app.inject({ method: 'PATCH', url, payload: { name: 'New' } });
    t.equal(answer.statusCode, 200);
    t.match(answer.json(), { id: created.id, name: 'New', createdAt: created.createdAt });
    t.equal((await app.inject({ method: 'PATCH', url, payload: {} })).statusCode, 400);
    t.strictSame((await app.inject(url)).json(), answer.json());
  });

  await t.test(
    'DELETE /sample-things/:id answers 204, and GET answers 404 afterwards',
    async (t) => {
      const url = `/sample-things/${(await create('Gone')).id}`;
      t.equal((await app.inject({ method: 'DELETE', url })).statusCode, 204);
      t.equal((await app.inject(url)).statusCode, 404);
    },
  );

  await t.test(
    'GET, PATCH and DELETE /sample-things/:id answer 404 for an unknown id, 400 for a bad one',
    async (t) => {
      const id = randomUUID();
      for (const [path, statusCode] of Object.entries({ [id]: 404, '1': 400 })) {
        const url = `/sample-things/${path}`;
        t.equal((await app.inject(url)).statusCode, statusCode);
        t.equal(
          (await app.inject({ method: 'PATCH', url, payload: { name: 'New' } })).statusCode,
          statusCode,
        );
        t.equal((await app.inject({ method: 'DELETE', url })).statusCode, statusCode);
      }
      t.equal(
        (await app.inject(`/sample-things/${id}`)).json().message,
        `Sample thing ${id} does not exist.`,
      );
    },
  );
});
