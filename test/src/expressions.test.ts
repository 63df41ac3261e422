import { globSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'tap';
import { ROOT } from '../helper.ts';
import { measureGrowth } from './growth.ts';
import { findReaders } from './readers.ts';

/** Matches a regular expression literal, and a pattern of a schema. */
const LITERAL =
  /(?<=[(=?:,&|]\s*)\/(?![*/])((?:\\.|\[(?:\\.|[^\]\\\n])*\]|[^/\\\n[])+)\/([dgimsuvy]*)(?=[\s.,;)\]])/g;
const PATTERN = /pattern: '(.*)'/g;

/** The maximum growth of time from 1 KiB to 64 KiB. */
const MAX_GROWTH = 70;

/**
 * The maximum time for 64 KiB, in milliseconds; `npm run proof attack` has a bound of 1 ms on an
 * idle machine.
 */
const MAX_MS = 50;

function findExpressions(): [name: string, expression: RegExp][] {
  return globSync('{src,plugins,routes,jobs}/**/*.ts', { cwd: ROOT }).flatMap((file) => {
    const code = readFileSync(path.join(ROOT, file), 'utf8');
    const literals = [...code.matchAll(LITERAL)].map(
      ([, source = '', flags]) => new RegExp(source, flags),
    );
    const patterns = [...code.matchAll(PATTERN)].map(
      ([, source = '']) => new RegExp(source.replaceAll('\\\\', '\\'), 'u'),
    );
    return [...literals, ...patterns].map((found): [string, RegExp] => [
      `${file}: ${found}`,
      found,
    ]);
  });
}

test('Each regular expression takes time that is linear in its input', (t) => {
  const expressions = findExpressions();
  t.not(expressions.length, 0, 'they are found');
  for (const [name, expression] of expressions) {
    const run = (text: string) => {
      expression.lastIndex = 0;
      while (expression.test(text) && expression.global);
    };
    const { growth, part } = measureGrowth(run, MAX_GROWTH);
    t.ok(growth <= MAX_GROWTH, `${name}: ${growth.toFixed(1)} times with ${JSON.stringify(part)}`);
  }
  t.end();
});

test('Each parser of client and server bytes is fast, and linear in its input', async (t) => {
  for (const [name, read, prepare] of await findReaders()) {
    const { growth, ms, part } = measureGrowth(read, MAX_GROWTH, prepare);
    const worst = `${ms.toFixed(3)} ms, ${growth.toFixed(1)} times, with ${JSON.stringify(part)}`;
    t.ok(growth <= MAX_GROWTH && ms < MAX_MS, `${name}: ${worst}`);
  }
});
