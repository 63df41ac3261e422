import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import type { Tally } from '../tally.ts';
import { splitLine } from './commands.ts';
import { findBlocks, findSection } from './markdown.ts';
import { applyPatch } from './patch.ts';
import { expectSuccess, serve } from './shell.ts';

/** Follows "Add a resource" exactly, in a fresh copy, and checks the result. */
export async function proveAddResource(tally: Tally, folder: string): Promise<void> {
  const section = findSection(
    readFileSync(path.join(folder, 'README.md'), 'utf8'),
    'Add a resource',
  );
  for (const { kind, lines } of findBlocks(section)) {
    if (kind === 'diff') {
      await tally.check('README, Add a resource: each line to add has one place in its file', () =>
        applyPatch(folder, lines).join(', '),
      );
    }
    for (const command of kind === 'sh' ? lines.flatMap(splitLine) : [])
      await tally.check(`README, Add a resource: ${command}`, () =>
        expectSuccess(folder, command).then(() => undefined),
      );
  }
  for (const command of [
    'npm run typecheck',
    'npm run lint',
    'npx node test/routes/books.test.ts',
    'npm run build',
  ])
    await tally.check(`The resource, then: ${command}`, () =>
      expectSuccess(folder, command).then(() => undefined),
    );
  await serve(folder, 'npm start', (url) => proveBooks(tally, url));
}

async function proveBooks(tally: Tally, url: string): Promise<void> {
  await tally.check('/openapi.json lists the added resource', async () => {
    const { paths } = (await getJson(`${url}/openapi.json`)) as {
      paths: Record<string, Record<string, object>>;
    };
    const operations = Object.entries(paths).filter(([name]) => name.startsWith('/books'));
    assert.deepEqual(
      operations.map(([name, methods]) => [name, Object.keys(methods).sort()]),
      [
        ['/books', ['get', 'post']],
        ['/books/{id}', ['delete', 'get', 'patch']],
      ],
    );
    assert.match(JSON.stringify(operations), /"author"/);
  });
  await tally.check('/docs shows the added resource', async () =>
    assert.match(await (await fetch(`${url}/docs`)).text(), /swagger-ui/),
  );
  await tally.check('POST /books stores the added field', async () => {
    const body = JSON.stringify({ name: 'Momo', author: 'Michael Ende' });
    const headers = { 'content-type': 'application/json' };
    const answer = await fetch(`${url}/books`, { method: 'POST', headers, body });
    assert.equal(answer.status, 201);
    const book = (await answer.json()) as { author: string };
    assert.equal(book.author, 'Michael Ende');
    assert.deepEqual(
      await getJson(new URL(answer.headers.get('location')!, answer.url).href),
      book,
    );
  });
}

async function getJson(url: string): Promise<unknown> {
  const answer = await fetch(url);
  assert.equal(answer.status, 200, `${url} answers ${answer.status}`);
  return answer.json();
}
