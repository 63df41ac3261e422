// npm run new resource: names that resemble the generated code's own words give working code
import assert from 'node:assert/strict';
import { PGlite } from '@electric-sql/pglite';
import { SQL_WORDS } from '../../scripts/new/names.ts';
import { copyTree } from '../docs/copy.ts';
import { expectSuccess, serve } from '../docs/shell.ts';
import type { Tally } from '../tally.ts';

/**
 * Words of the generated code, of JavaScript and of Node; the name of the original; plurals without
 * a singular.
 */
const NAMES = [
  'items tags names limits pages lists fields changes values columns',
  'queries replies apps sizes times new-things',
  'classes cases defaults imports exports packages prototypes',
  'events files requests responses tables users orders groups',
  'sample-things sample-thing-kinds v2-keys a1-b2s',
].flatMap((line) => line.split(' '));

const IRREGULAR = ['people person', 'news news', 'series series'];

const TESTED = ['new-things', 'sample-thing-kinds', 'people'].map(
  (name) => `test/routes/${name}.test.ts`,
);

const CHECKS = ['typecheck', 'lint', 'build', `test -- ${TESTED.join(' ')}`];

export async function prove(tally: Tally): Promise<void> {
  await tally.check("The list of reserved words matches PostgreSQL's", proveWords);
  const folder = await copyTree('new');
  for (const name of [...NAMES, ...IRREGULAR])
    await tally.check(name, () =>
      expectSuccess(folder, `npm run new resource ${name}`).then(() => undefined),
    );
  for (const check of CHECKS)
    await tally.check(`With all resources: npm run ${check}`, () =>
      expectSuccess(folder, `npm run ${check}`).then(() => undefined),
    );
  await tally.check('All resources are served', () => serve(folder, 'npm start', proveLists));
}

async function proveWords(): Promise<string> {
  await using database = await PGlite.create();
  const { rows } = await database.query<{ word: string }>(
    "select word from pg_get_keywords() where catcode in ('R', 'T')",
  );
  assert.deepEqual([...SQL_WORDS].sort(), rows.map(({ word }) => word).sort());
  return `${rows.length} words`;
}

async function proveLists(url: string): Promise<void> {
  for (const name of [...NAMES, ...IRREGULAR]) {
    const answer = await fetch(`${url}/${name.split(' ')[0]}`);
    assert.deepEqual([answer.status, await answer.json()], [200, { items: [], next: null }], name);
  }
}
