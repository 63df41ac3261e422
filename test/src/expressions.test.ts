import { globSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'tap';
import { hideSecrets, hideSecretsInLine } from '../../src/redaction.ts';
import { readPath } from '../../src/request-log.ts';
import { ROOT } from '../helper.ts';

/** A regular expression as the code writes it, and a pattern of a schema. */
const LITERAL =
  /(?<=[(=?:,&|]\s*)\/(?![*/])((?:\\.|\[(?:\\.|[^\]\\\n])*\]|[^/\\\n[])+)\/([dgimsuvy]*)(?=[\s.,;)\]])/g;
const PATTERN = /pattern: '(.*)'/g;

/** What makes expressions go back and try again, repeated. */
const PARTS = [
  ...[
    'a',
    'a-',
    '0',
    ' ',
    ' ,',
    '\n',
    '/',
    '%41',
    '%',
    '.',
    '1.',
    ':',
    '::',
    '=',
    '"',
    "'",
    '\\',
    '@',
  ],
  ...['?a=', '://', 'a://b:', ':@/', 'http://a,', 'token=', 'token="', "pwd:'", 'password '],
  ...[
    'bearer ',
    'basic a',
    'args beginning with: ',
    'invalid input syntax for type ',
    '0-',
    '\ud800',
  ],
];

const SMALL = 1_024;
const LARGE = 65_536;

/** Time may grow this much from the small input to the large one, which is 64 times as long. */
const MAX_GROWTH = 70;

/** Nothing linear takes so long, in milliseconds: it is not measured again. */
const HOPELESS_MS = 1_000;

/** A busy machine makes nothing faster: one measurement of so many within the bound is enough. */
const TRIES = 200;

function findExpressions(): Map<string, RegExp> {
  const found = new Map<string, RegExp>();
  for (const file of globSync('{src,plugins,routes,jobs}/**/*.ts', { cwd: ROOT })) {
    const code = readFileSync(path.join(ROOT, file), 'utf8');
    for (const [, source = '', flags] of code.matchAll(LITERAL))
      found.set(`${file}: ${source}`, new RegExp(source, flags));
    for (const [, source = ''] of code.matchAll(PATTERN))
      found.set(`${file}: ${source}`, new RegExp(source.replaceAll('\\\\', '\\'), 'u'));
  }
  return found;
}

/** Of some runs the fastest, in milliseconds. */
function measure(run: (text: string) => unknown, text: string, repeats: number): number {
  let least = Number.POSITIVE_INFINITY;
  for (let count = 0; count < repeats; count++) {
    const startedAt = performance.now();
    run(text);
    least = Math.min(least, performance.now() - startedAt);
    if (least > HOPELESS_MS) break;
  }
  return least;
}

function repeat(part: string, size: number): string {
  return `${part.repeat(Math.ceil(size / part.length))}@`;
}

function measureGrowth(run: (text: string) => unknown, part: string): number {
  const [small, large] = [repeat(part, SMALL), repeat(part, LARGE)];
  let growth = Number.POSITIVE_INFINITY;
  for (let count = 0; growth > MAX_GROWTH && count < TRIES; count++) {
    const least = measure(() => Array.from({ length: 64 }, () => run(small)), '', 5) / 64;
    const ms = measure(run, large, 5);
    growth = Math.min(growth, ms / least);
    if (ms > HOPELESS_MS) break;
  }
  return growth;
}

test('What reads bytes of clients and servers takes time that is linear in them', (t) => {
  const expressions = [...findExpressions()].map(([name, expression]) => {
    const run = (text: string) => {
      expression.lastIndex = 0;
      while (expression.test(text) && expression.global);
    };
    return [name, run] as const;
  });
  t.ok(expressions.length > 40, 'they are found');
  const readers: (readonly [string, (text: string) => unknown])[] = [
    ...expressions,
    ['hideSecrets', hideSecrets],
    ['readPath', readPath],
    ['a line', (text) => hideSecretsInLine(`${JSON.stringify({ token: text, text })}\n`)],
  ];
  for (const [name, run] of readers) {
    const times = PARTS.map((part) => [measure(run, repeat(part, LARGE), 3), part] as const);
    const [ms, part] = times.sort(([one], [other]) => other - one)[0]!;
    const growth = measureGrowth(run, part);
    t.ok(growth <= MAX_GROWTH, `${name}: ${growth.toFixed(1)} times with ${JSON.stringify(part)}`);
    if (ms > 1) t.comment(`${name}: ${ms.toFixed(1)} ms for 64 KiB of ${JSON.stringify(part)}`);
  }
  t.end();
});
