import assert from 'node:assert/strict';
import type { Tally } from '../tally.ts';
import { findBlocks, findSection } from './markdown.ts';
import { read } from './pages.ts';
import { applyPatch } from './patch.ts';
import { expectSuccess, serve } from './shell.ts';

/** The maximum length of the README's section, in lines. */
const MAX_LINES = 12;

/** Gives the resource's rows an owner, as docs/auth.md says, and checks who sees them. */
export async function proveProtectRoute(tally: Tally, folder: string): Promise<void> {
  const text = findSection(read(folder, 'README.md'), 'Protect a route');
  const section = text.replaceAll(/<!-- .* -->/g, '').trim();
  const [patch] = findBlocks(read(folder, 'docs/auth.md'), 'diff');
  assert(patch);
  await tally.check('README, Protect a route: its few lines are also in docs/auth.md', () => {
    assert(section.split('\n').length <= MAX_LINES);
    const lines = findBlocks(section, 'diff').flatMap((block) => block.lines);
    assert(lines.length > 0);
    for (const line of lines.filter((line) => !line.startsWith(' ')))
      assert(patch.lines.includes(line), line);
  });
  await tally.check('docs/auth.md: each line to add has one place in its file', () =>
    applyPatch(folder, patch.lines).join(', '),
  );
  for (const command of [
    'npm run typecheck',
    'npm run lint',
    'npx node test/routes/books.test.ts',
    'npm run db:reset',
  ])
    await tally.check(`After adding an owner to each row: ${command}`, () =>
      expectSuccess(folder, command).then(() => undefined),
    );
  const [alice, bob] = await Promise.all(
    ['alice', 'bob'].map(async (name) =>
      (await expectSuccess(folder, `npm run --silent token ${name}`)).trim(),
    ),
  );
  await serve(folder, 'npm run dev', (url) =>
    proveOwners(tally, new Caller(url, alice), new Caller(url, bob)),
  );
}

async function proveOwners(tally: Tally, alice: Caller, bob: Caller): Promise<void> {
  await tally.check("GET /books lists the caller's own books", async () => {
    for (const [caller, name] of [
      [alice, 'Momo'],
      [bob, 'Faust'],
    ] as const) {
      assert.equal((await caller.ask('POST', '', { name })).status, 201);
      assert.deepEqual(await caller.list(), [name]);
    }
    assert.deepEqual(await alice.list(), ['Momo']);
  });
  await tally.check('A book of another caller answers 404', async () => {
    const { items } = (await bob.ask('GET', '')).body as { items: { id: string }[] };
    const path = `/${items[0]?.id}`;
    for (const [method, body] of [['GET'], ['PATCH', { name: 'Mine' }], ['DELETE']] as const) {
      const answer = await alice.ask(method, path, body);
      assert.deepEqual([answer.status, answer.body.code], [404, 'BOOK_NOT_FOUND'], method);
    }
    assert.deepEqual(await bob.list(), ['Faust']);
    assert.equal((await bob.ask('PATCH', path, { name: 'Faust II' })).status, 200);
    assert.equal((await bob.ask('GET', path)).body.name, 'Faust II');
    assert.equal((await bob.ask('DELETE', path)).status, 204);
    assert.deepEqual([await alice.list(), await bob.list()], [['Momo'], []]);
  });
  await tally.check(
    'Without a token, each route of the books answers 401, and /openapi.json says so',
    async () => {
      const { paths } = (await (await fetch(`${alice.origin}/openapi.json`)).json()) as {
        paths: Record<string, Record<string, { security?: unknown }>>;
      };
      const nobody = new Caller(alice.origin);
      let count = 0;
      for (const path of ['/books', '/books/{id}'])
        for (const [method, { security }] of Object.entries(paths[path] ?? {})) {
          assert.deepEqual(security, [{ bearer: [] }]);
          const answer = await nobody.ask(method.toUpperCase(), path.slice('/books'.length));
          assert.equal(answer.status, 401);
          count += 1;
        }
      assert.equal(count, 5);
    },
  );
}

class Caller {
  readonly origin: string;
  readonly #headers: Record<string, string>;

  constructor(origin: string, token?: string) {
    this.origin = origin;
    this.#headers = token ? { authorization: `Bearer ${token}` } : {};
  }

  async ask(method: string, path: string, fields?: object) {
    const headers = { ...this.#headers, ...(fields && { 'content-type': 'application/json' }) };
    const body = fields ? JSON.stringify(fields) : null;
    const answer = await fetch(`${this.origin}/books${path}`, { method, headers, body });
    const text = (await answer.text()) || '{}';
    return { status: answer.status, body: JSON.parse(text) as Record<string, unknown> };
  }

  /** Lists the names of the books that this caller sees. */
  async list(): Promise<string[]> {
    const { items } = (await this.ask('GET', '')).body as { items: { name: string }[] };
    return items.map(({ name }) => name);
  }
}
