import { test } from 'tap';
import { pickRemovals, readRemovals, removeRows } from '../../scripts/new/removals.ts';

test('A mistake in the table of removals is an error', (t) => {
  const table = (row: string) =>
    `\n## Remove what you do not need\n\n| A | B | C |\n| --- | --- | --- |\n${row}\n`;
  t.throws(() => readRemovals('# A README without it'), /has no table/);
  t.throws(() => readRemovals(table('| Redis | `git rm redis` |')), /This row is not[\s\S]*Redis/);
  t.strictSame(readRemovals(table('| `a` | the a, after `b` and `c` | `one`, then `two` |')), [
    { name: 'a', after: ['b', 'c'], commands: ['one', 'two'] },
  ]);
  t.match(readRemovals(table('| `a` | the a | `one` |')), [{ name: 'a', after: [] }]);
  t.end();
});

test('Removals are ordered after those they name, in the order of the table', (t) => {
  const create = (name: string, ...after: string[]) => ({ name, after, commands: [] });
  const removals = [create('notes'), create('redis'), create('database', 'notes')];
  const pick = (...names: string[]) => pickRemovals(removals, names).map(({ name }) => name);
  t.strictSame(pick('database'), ['notes', 'database']);
  t.strictSame(pick('redis', 'notes'), ['notes', 'redis']);
  t.throws(() => pick('kafka'), /These can: notes, redis, database/);
  t.end();
});

test('Only the rows of removed capabilities are deleted', (t) => {
  const removed = [{ name: 'redis', after: [], commands: [] }];
  const readme = '# A\n| `redis` | a | `b` |\n| `redis-like` | a | `b` |\nThe end, without redis\n';
  t.equal(removeRows(readme, removed), readme.replace('| `redis` | a | `b` |\n', ''));
  t.end();
});
