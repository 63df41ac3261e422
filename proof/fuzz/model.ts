import assert from 'node:assert/strict';
import fc from 'fast-check';
import type { Client, ClientAnswer } from './client.ts';

interface Note {
  id: string;
  title: string;
  body: string;
  createdAt: string;
  updatedAt: string;
}

/** The existing notes in the order of their creation. */
type Model = Map<string, Note>;

type Command = fc.AsyncCommand<Model, Client>;

/** One run of commands costs as much as this many requests. */
const REQUESTS_OF_A_RUN = 20;

/** Runs the same commands on a Map and on the app: create, change, delete, read and list. */
export async function proveModel(
  client: Client,
  parameters: { seed: number; numRuns: number },
): Promise<string> {
  const commands = fc.commands(generateCommands(), {
    maxCommands: 2 * REQUESTS_OF_A_RUN,
    size: 'max',
  });
  let count = 0;
  const property = fc.asyncProperty(commands, async (given) => {
    await deleteAll(client);
    await fc.asyncModelRun(() => ({ model: new Map() as Model, real: client }), given);
    count += [...given].length;
  });
  await fc.assert(property, {
    ...parameters,
    includeErrorInReport: true,
    numRuns: Math.ceil(parameters.numRuns / REQUESTS_OF_A_RUN),
  });
  return `${count} commands`;
}

function generateCommands(): fc.Arbitrary<Command>[] {
  const text = (minLength: number, maxLength: number) =>
    fc.string({ unit: 'binary', minLength, maxLength }).filter((value) => !value.includes('\0'));
  const title = text(1, 200);
  const body = text(0, 1_000);
  const changes = fc
    .record({ title, body }, { requiredKeys: [] })
    .filter((given) => Object.keys(given).length > 0);
  return [
    fc.record({ title, body }, { requiredKeys: ['title'] }).map(create),
    fc.tuple(fc.nat(), changes).map(([position, given]) => change(position, given)),
    fc.nat().map(remove),
    fc.nat().map(read),
    fc.integer({ min: 1, max: 100 }).map(list),
  ];
}

function create(given: { title: string; body?: string }): Command {
  return {
    check: () => true,
    toString: () => `create(${JSON.stringify(given)})`,
    async run(model, client) {
      const note: Note = parse(await send(client, 'POST', '/notes', given), 201);
      assert.deepEqual({ title: note.title, body: note.body }, { body: '', ...given });
      assert.equal(note.createdAt, note.updatedAt);
      assert(!model.has(note.id), 'the id is not new');
      model.set(note.id, note);
    },
  };
}

function change(position: number, changes: Partial<Pick<Note, 'title' | 'body'>>): Command {
  return {
    check: (model) => model.size > 0,
    toString: () => `change(${position}, ${JSON.stringify(changes)})`,
    async run(model, client) {
      const before = pick(model, position);
      const note: Note = parse(await send(client, 'PATCH', `/notes/${before.id}`, changes), 200);
      assert.deepEqual(note, { ...before, ...changes, updatedAt: note.updatedAt });
      assert(note.updatedAt >= before.updatedAt, 'updatedAt went back');
      model.set(note.id, note);
    },
  };
}

function remove(position: number): Command {
  return {
    check: (model) => model.size > 0,
    toString: () => `remove(${position})`,
    async run(model, client) {
      const { id } = pick(model, position);
      const answer = await send(client, 'DELETE', `/notes/${id}`);
      assert.deepEqual([answer.status, answer.body], [204, '']);
      parse(await send(client, 'DELETE', `/notes/${id}`), 404);
      parse(await send(client, 'GET', `/notes/${id}`), 404);
      parse(await send(client, 'PATCH', `/notes/${id}`, { title: 'Gone' }), 404);
      model.delete(id);
    },
  };
}

function read(position: number): Command {
  return {
    check: (model) => model.size > 0,
    toString: () => `read(${position})`,
    async run(model, client) {
      const note = pick(model, position);
      assert.deepEqual(parse(await send(client, 'GET', `/notes/${note.id}`), 200), note);
    },
  };
}

/** Checks all pages: each but the last is full, and together they list all notes, newest first. */
function list(limit: number): Command {
  return {
    check: () => true,
    toString: () => `list(${limit})`,
    async run(model, client) {
      const pages = await readPages(client, limit);
      assert.deepEqual(
        pages.flat(),
        [...model.values()].reverse(),
        'the pages do not list all notes, newest first',
      );
      const due = Math.max(1, Math.ceil(model.size / limit));
      assert.equal(
        pages.length,
        due,
        `${model.size} notes are in ${pages.length} pages of ${limit}`,
      );
    },
  };
}

async function readPages(client: Client, limit: number): Promise<Note[][]> {
  const pages: Note[][] = [];
  let after = '';
  do {
    const { items, next } = parse(
      await send(client, 'GET', `/notes?limit=${limit}${after && `&after=${after}`}`),
      200,
    );
    pages.push(items);
    after = next;
  } while (after);
  return pages;
}

async function deleteAll(client: Client): Promise<void> {
  const pages = await readPages(client, 100);
  for (const { id } of pages.flat()) await send(client, 'DELETE', `/notes/${id}`);
}

async function send(
  client: Client,
  method: string,
  target: string,
  body?: object,
): Promise<ClientAnswer> {
  const content = body && { contentType: 'application/json', body: JSON.stringify(body) };
  return client.send({ method, target, ...content });
}

function parse({ status, body }: ClientAnswer, due: number) {
  assert.equal(status, due, `expected ${due}, got ${status} ${body}`);
  return JSON.parse(body);
}

function pick(model: Model, position: number): Note {
  return [...model.values()][position % model.size]!;
}
