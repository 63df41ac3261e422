import { test } from 'tap';
import { pickRemovals, readRemovals, removeMentions } from '../../scripts/new/removals.ts';

test('A mistake in the table of removals is an error', (t) => {
  const table = (row: string) =>
    `\n## Remove what you do not need\n\n| A | B | C |\n| --- | --- | --- |\n${row}\n`;
  t.throws(() => readRemovals('# A README without it'), /has no table/);
  t.throws(() => readRemovals(table('| Redis | `git rm redis` |')), /This row is not[\s\S]*Redis/);
  t.strictSame(readRemovals(table('| `a` | the a, after `b` and `c` | `one`, then `two` |')), [
    { name: 'a', after: ['b', 'c'], commands: ['one', 'two'] },
  ]);
  t.match(readRemovals(table('| `a` | the a | `one` |')), [{ name: 'a', after: [] }]);
  const padded = table('| `a`  | the a, after `b`  | `one`     |');
  t.strictSame(readRemovals(padded), [{ name: 'a', after: ['b'], commands: ['one'] }]);
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

test('What concerns only a removed capability is deleted', (t) => {
  const removed = [{ name: 'redis', after: [], commands: [] }];
  const table = '# A\n| `redis-like` | a | `b` |\n';
  const redis = '| `redis` | a | `b` |\n|  `redis`  | a | `b` |\n';
  const lines = '- b <!-- redis-like -->\n';
  const redisLines = '- a <!-- redis -->\n  b: c # redis\n| c | d | <!-- redis -->\n';
  const section = '<!-- jobs -->\n\n## Jobs\n\n<!-- /jobs -->\n\n';
  const redisSection = '<!-- redis -->\n\n## Redis\n\nd\n\n<!-- /redis -->\n\n';
  const text = table + redis + lines + redisLines + redisSection + section;
  t.equal(
    removeMentions(`${text}The end, without redis\n`, removed),
    [table, lines, section, 'The end, without redis\n'].join(''),
  );
  t.end();
});
