import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { waitUntilReady } from '../../proof/examples/foreman.ts';
import { findPort, RunningProcess } from '../../proof/processes.ts';
import type { Note } from '../../routes/notes/schema.ts';

let url: string;
let web: RunningProcess;

before(async () => {
  const port = await findPort();
  url = `http://127.0.0.1:${port}`;
  const environment = {
    PORT: `${port}`,
    HOST: '127.0.0.1',
    DATABASE_URL: 'pglite:memory',
    SHUTDOWN_DELAY_MS: '0',
  };
  web = new RunningProcess(process.execPath, ['web.ts'], {
    folder: import.meta.dirname,
    environment,
  });
  await waitUntilReady(url, web);
});

after(() => web[Symbol.asyncDispose]());

/** Reads the next events of a stream, then closes it. */
async function readEvents(
  count: number,
  query = '',
  headers: Record<string, string> = {},
  meanwhile?: () => Promise<unknown>,
) {
  const answer = await fetch(`${url}/notes/events${query}`, { headers });
  assert.equal(answer.status, 200);
  assert.equal(answer.headers.get('content-type'), 'text/event-stream');
  const events: { id: number; name: string; note: Note }[] = [];
  let text = '';
  await meanwhile?.();
  for await (const chunk of answer.body!.pipeThrough(new TextDecoderStream())) {
    text += chunk;
    const found = text.matchAll(/id: (\d+)\nevent: (\w+)\ndata: (.*)\n\n/g);
    events.splice(0, events.length);
    for (const [, id, name = '', data = ''] of found)
      events.push({ id: Number(id), name, note: JSON.parse(data) });
    if (events.length >= count) break;
  }
  return events;
}

async function send(method: string, path: string, body?: object): Promise<Note> {
  const answer = await fetch(`${url}${path}`, {
    method,
    ...(body && { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } }),
  });
  assert(answer.ok, `${method} ${path}: ${answer.status}`);
  return (await answer.json().catch(() => undefined)) as Note;
}

test('Writing, changing and deleting a note gives three events, each with the note', async () => {
  let note: Note | undefined;
  const events = await readEvents(3, '', {}, async () => {
    note = await send('POST', '/notes', { title: 'Groceries' });
    await send('PATCH', `/notes/${note.id}`, { body: 'Bread\nmilk' });
    await send('DELETE', `/notes/${note.id}`);
  });
  assert.deepEqual(
    events.map(({ name }) => name),
    ['created', 'changed', 'deleted'],
  );
  assert.deepEqual(events[0]!.note, note);
  assert.equal(events[1]!.note.body, 'Bread\nmilk');
});

test('A client that reconnects gets what it missed, by Last-Event-ID before ?after=', async () => {
  for (const title of ['one', 'two', 'three']) await send('POST', '/notes', { title });
  const all = await readEvents(3, '?after=3');
  const [first, second, third] = all;
  assert.deepEqual(await readEvents(2, `?after=${first!.id}`), [second, third]);
  assert.deepEqual(await readEvents(1, '?after=0', { 'last-event-id': `${second!.id}` }), [third]);
  const wrong = await fetch(`${url}/notes/events`, { headers: { 'last-event-id': 'one' } });
  assert.equal(wrong.status, 400);
});

test('A client with an id of another database starts with the next event', async () => {
  const write = () => send('POST', '/notes', { title: 'after a new start' });
  const [event] = await readEvents(1, '', { 'last-event-id': '999999' }, write);
  assert.equal(event!.note.title, 'after a new start');
});

test('The streams end when the process stops, and it exits with 0', async () => {
  const streams = await Promise.all([1, 2, 3].map(() => fetch(`${url}/notes/events`)));
  web.signal('SIGTERM');
  for (const stream of streams) assert.match(await stream.text(), /^id: \d+\nretry: \d+\n\n/);
  assert.deepEqual(await web.ended, { code: 0, signal: null });
});
