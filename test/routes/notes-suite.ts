import { randomUUID } from 'node:crypto';
import { setImmediate } from 'node:timers/promises';
import type { FastifyInstance, InjectOptions } from 'fastify';
import type { Test } from 'tap';
import type { Note, NoteList } from '../../routes/notes/schema.ts';
import { hasParser, poll } from '../helper.ts';

const UUID_7 = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;
const UTC = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/;
const MALFORMED_IDS = [
  '1',
  'abc',
  `${randomUUID()}0`,
  randomUUID().replaceAll('-', ''),
  `urn:uuid:${randomUUID()}`,
  '%00',
];

type ShownNote = Omit<Note, 'createdAt' | 'updatedAt'> & { createdAt: string; updatedAt: string };

/**
 * Tests the notes on any database.
 *
 * @param app an app with a migrated database
 */
export async function testNotes(t: Test, app: FastifyInstance): Promise<void> {
  const send = async (method: InjectOptions['method'], url: string, payload?: object) => {
    // The embedded database answers without a turn of the event loop, which the app would take for
    // overload.
    await setImmediate();
    return app.inject({ method: method ?? 'GET', url, ...(payload && { payload }) });
  };
  const createNote = async (title = 'Groceries', body = ''): Promise<ShownNote> =>
    (await send('POST', '/notes', { title, body })).json();

  await t.test('POST /notes answers 201, the note and its Location', async (t) => {
    const answer = await send('POST', '/notes', { title: 'Groceries', body: 'Bread, milk' });
    t.equal(answer.statusCode, 201);
    const note = answer.json();
    t.match(note, {
      id: UUID_7,
      title: 'Groceries',
      body: 'Bread, milk',
      createdAt: UTC,
      updatedAt: note.createdAt,
    });
    t.strictSame(Object.keys(note), ['id', 'title', 'body', 'createdAt', 'updatedAt']);
    t.equal(answer.headers.location, `notes/${note.id}`);
    t.strictSame((await send('GET', `/notes/${note.id}`)).json(), note);
  });

  await t.test('POST /notes without a body field stores an empty one', async (t) => {
    t.match((await send('POST', '/notes', { title: 'Groceries' })).json(), { body: '' });
  });

  await t.test('POST /notes stores every character that PostgreSQL can store', async (t) => {
    const texts = [
      '👩‍🚀'.repeat(66),
      '😀'.repeat(200),
      "'; drop table notes; --",
      '\u0001\u001f\u007f\uffff\ufffd',
      '\n\t"\\',
      ' ',
    ];
    for (const title of texts) {
      const { id } = await createNote(title, title);
      t.match((await send('GET', `/notes/${id}`)).json(), { title, body: title });
    }
    t.equal((await createNote('Long', '€'.repeat(10_000))).body.length, 10_000);
  });

  await t.test('POST /notes answers 400 for an invalid note', async (t) => {
    const bodies = [
      {},
      { body: 'without a title' },
      { title: '' },
      { title: 'x'.repeat(201) },
      { title: '😀'.repeat(201) },
      { title: 'a', body: 'x'.repeat(10_001) },
      { title: 1 },
      { title: null },
      { title: ['a'] },
      { title: 'a', body: null },
      { title: 'a', body: 1 },
      { title: 'a', color: 'red' },
      { title: 'a', id: randomUUID() },
      { title: 'a', createdAt: new Date().toISOString() },
      [{ title: 'a' }],
    ];
    for (const body of bodies) {
      const answer = await send('POST', '/notes', body);
      t.equal(answer.statusCode, 400, JSON.stringify(body).slice(0, 80));
      t.match(answer.json(), {
        statusCode: 400,
        code: 'FST_ERR_VALIDATION',
        error: 'Bad Request',
        message: /^body/,
      });
    }
  });

  await t.test('POST /notes answers 400 for a NUL or half a surrogate pair', async (t) => {
    const { id } = await createNote();
    for (const text of ['\u0000', 'a\u0000b', '\ud83d', '\ude00', 'a\ude00\ud83d', '\ud83dx']) {
      for (const payload of [{ title: text }, { title: 'a', body: text }]) {
        t.equal((await send('POST', '/notes', payload)).statusCode, 400, JSON.stringify(payload));
        t.equal(
          (await send('PATCH', `/notes/${id}`, payload)).statusCode,
          400,
          JSON.stringify(payload),
        );
      }
    }
  });

  await t.test('POST /notes answers 415 for text, 400 for bad JSON, 413 above 1 MiB', async (t) => {
    const post = async (payload: string, type: string) =>
      (
        await app.inject({
          method: 'POST',
          url: '/notes',
          payload,
          headers: { 'content-type': type },
        })
      ).statusCode;
    t.equal(await post('{"title":"a"}', 'text/plain'), 415);
    const form = 'application/x-www-form-urlencoded';
    if (!hasParser(app, form)) t.equal(await post('title=a', form), 415);
    t.equal(await post('{"title":', 'application/json'), 400);
    t.equal(await post('', 'application/json'), 400);
    t.equal(await post('{"title":"a","__proto__":{}}', 'application/json'), 400);
    t.equal(
      await post(JSON.stringify({ title: 'a', body: 'x'.repeat(1024 * 1024) }), 'application/json'),
      413,
    );
  });

  await t.test('GET /notes answers the newest first', async (t) => {
    const notes: ShownNote[] = [];
    for (const title of ['first', 'second', 'third']) {
      const note = await createNote(title);
      notes.unshift(note);
      await poll(() => Date.now() > Date.parse(note.createdAt));
    }
    const answer = await send('GET', '/notes?limit=3');
    t.equal(answer.statusCode, 200);
    t.strictSame(answer.json().items, notes);
  });

  await t.test('GET /notes has each note on one page, even in the same millisecond', async (t) => {
    const created = await Promise.all(
      Array.from({ length: 23 }, (_, index) => createNote(`Note ${index}`)),
    );
    const pages = await readPages('/notes?limit=5');
    const items = pages.flatMap((page) => page.items as unknown as ShownNote[]);
    t.ok(
      pages
        .slice(0, -1)
        .every((page) => page.items.length === 5 && page.next === page.items[4]?.id),
    );
    t.equal(pages.at(-1)?.next, null);
    t.equal(new Set(items.map(({ id }) => id)).size, items.length, 'no note comes twice');
    const shown = items.filter(({ id }) => created.some((note) => note.id === id));
    t.strictSame(shown, created.toSorted(byNewest), 'all are there, in order');
  });

  await t.test(
    'GET /notes?after= begins after its cursor, whatever was added or deleted since',
    async (t) => {
      for (let count = 0; count < 4; count++) await createNote();
      const first = (await send('GET', '/notes?limit=2')).json();
      const second = (await send('GET', `/notes?limit=2&after=${first.next}`)).json();
      await createNote('Newer');
      await send('DELETE', `/notes/${first.next}`);
      t.strictSame((await send('GET', `/notes?limit=2&after=${first.next}`)).json(), second);
      t.strictSame(
        (await send('GET', `/notes?limit=2&after=${first.next.toUpperCase()}`)).json(),
        second,
      );
      t.strictSame(
        (await send('GET', '/notes?after=00000000-0000-0000-0000-000000000000')).json(),
        {
          items: [],
          next: null,
        },
      );
    },
  );

  await t.test('GET /notes has no next page after a full last page', async (t) => {
    const created = [await createNote(), await createNote()].toSorted(byNewest);
    const oldest = created[1]?.id;
    const items = (await readPages('/notes?limit=100')).flatMap((page) => page.items);
    const behind = items.length - items.findIndex(({ id }) => id === oldest) - 1;
    const answer = await send('GET', `/notes?limit=${Math.max(behind, 1)}&after=${oldest}`);
    t.match(answer.json(), { next: null });
  });

  await t.test('GET /notes answers 20 notes without a limit, and up to 100 with one', async (t) => {
    await Promise.all(Array.from({ length: 101 }, () => createNote()));
    t.equal((await send('GET', '/notes')).json().items.length, 20);
    t.equal((await send('GET', '/notes?limit=1')).json().items.length, 1);
    t.equal((await send('GET', '/notes?limit=100')).json().items.length, 100);
  });

  await t.test('GET /notes answers 400 for an invalid limit or cursor', async (t) => {
    for (const limit of [
      '0',
      '-1',
      '101',
      '1.5',
      'ten',
      '',
      '1&limit=2',
      '9'.repeat(400),
      '0x10',
      '5.0',
    ]) {
      const answer = await send('GET', `/notes?limit=${limit}`);
      t.equal(answer.statusCode, 400, `limit=${limit}`);
      t.match(answer.json(), { code: 'FST_ERR_VALIDATION', message: /^querystring\/limit/ });
    }
    t.equal((await send('GET', '/notes?limit[]=1')).statusCode, 400);
    for (const id of MALFORMED_IDS)
      t.equal((await send('GET', `/notes?after=${id}`)).statusCode, 400, `after=${id}`);
  });

  await t.test(
    'GET, PATCH and DELETE /notes/:id answer 404 for an unknown note, and name it',
    async (t) => {
      const id = randomUUID();
      const answers = [
        await send('GET', `/notes/${id}`),
        await send('PATCH', `/notes/${id}`, { title: 'New' }),
        await send('DELETE', `/notes/${id}`),
      ];
      const message = `Note ${id} does not exist.`;
      for (const answer of answers) {
        t.strictSame(answer.json(), {
          statusCode: 404,
          code: 'NOTE_NOT_FOUND',
          error: 'Not Found',
          message,
        });
      }
    },
  );

  await t.test('GET, PATCH and DELETE /notes/:id answer 400 for a malformed id', async (t) => {
    for (const id of MALFORMED_IDS) {
      t.equal((await send('GET', `/notes/${id}`)).statusCode, 400, `GET ${id}`);
      t.equal(
        (await send('PATCH', `/notes/${id}`, { title: 'New' })).statusCode,
        400,
        `PATCH ${id}`,
      );
      t.equal((await send('DELETE', `/notes/${id}`)).statusCode, 400, `DELETE ${id}`);
    }
  });

  await t.test('PATCH /notes/:id changes the given fields and updatedAt', async (t) => {
    const note = await createNote('Groceries', 'Bread');
    await poll(() => Date.now() > Date.parse(note.createdAt));
    const renamed = (await send('PATCH', `/notes/${note.id}`, { title: 'Shopping' })).json();
    t.strictSame(renamed, { ...note, title: 'Shopping', updatedAt: renamed.updatedAt });
    t.ok(renamed.updatedAt > note.updatedAt);
    const rewritten = (await send('PATCH', `/notes/${note.id}`, { body: '' })).json();
    t.match(rewritten, { title: 'Shopping', body: '', createdAt: note.createdAt });
    t.strictSame((await send('GET', `/notes/${note.id}`)).json(), rewritten);
  });

  await t.test(
    'PATCH /notes/:id answers 400 for an invalid change, and changes nothing',
    async (t) => {
      const note = await createNote();
      const bodies = [
        {},
        { title: '' },
        { title: null },
        { body: 1 },
        { title: 'a', id: note.id },
        { updatedAt: UTC.source },
      ];
      for (const body of bodies) {
        t.equal(
          (await send('PATCH', `/notes/${note.id}`, body)).statusCode,
          400,
          JSON.stringify(body),
        );
      }
      t.strictSame((await send('GET', `/notes/${note.id}`)).json(), note);
    },
  );

  await t.test('DELETE /notes/:id answers 204 once, and 404 afterwards', async (t) => {
    const { id } = await createNote();
    const answer = await send('DELETE', `/notes/${id}`);
    t.strictSame([answer.statusCode, answer.body], [204, '']);
    t.equal((await send('DELETE', `/notes/${id}`)).statusCode, 404);
    t.equal((await send('GET', `/notes/${id}`)).statusCode, 404);
  });

  await t.test('Other methods on /notes answer 405 with those that are allowed', async (t) => {
    for (const method of ['PUT', 'PATCH', 'DELETE'] as const) {
      const answer = await send(method, '/notes');
      t.equal(answer.statusCode, 405);
      t.equal(sortList(answer.headers.allow), 'GET, HEAD, POST');
    }
    for (const method of ['PUT', 'POST'] as const) {
      const answer = await send(method, `/notes/${randomUUID()}`);
      t.equal(answer.statusCode, 405);
      t.equal(sortList(answer.headers.allow), 'DELETE, GET, HEAD, PATCH');
    }
  });

  /** Reads all pages of a list, first to last. */
  async function readPages(url: string): Promise<NoteList[]> {
    const pages: NoteList[] = [];
    for (let after = ''; pages.at(-1)?.next !== null; after = `&after=${pages.at(-1)?.next}`) {
      pages.push((await send('GET', `${url}${after}`)).json());
    }
    return pages;
  }
}

function byNewest(one: { id: string }, other: { id: string }): number {
  return one.id < other.id ? 1 : -1;
}

function sortList(list: unknown): string {
  return String(list).split(', ').sort().join(', ');
}
