/** What makes expressions go back and try again, repeated. */
const PARTS = [
  ...['a', 'a-', '0', ' ', ' ,', '\n', '/', '%41', '%', '.', '1.', ':', '::', '=', '"', "'", '\\'],
  ...['@', '?a=', '://', 'a://b:', ':@/', 'http://a,', 'token=', 'token="', "pwd:'", 'password '],
  ...['bearer ', 'basic a', 'args beginning with: ', 'invalid input syntax for type ', '0-'],
  ...['\ud800', '\udc00a', '\0', '\u{1f600}', '"\\"', "E'", '$a$', '/*', '--', 'from "', 'api-'],
];

const SMALL = 1_024;
const LARGE = 65_536;

/** Nothing linear takes so long, in milliseconds: it is not measured again. */
const HOPELESS_MS = 1_000;

/** A busy machine makes nothing faster: one measurement of so many within the bound is enough. */
const TRIES = 200;

export interface Growth {
  /** What takes longest, repeated. */
  part: string;
  /** For 64 KiB of it, in milliseconds. */
  ms: number;
  /** How often the time for 1 KiB that is. */
  growth: number;
}

/**
 * The time that a function takes for the worst of some hostile texts.
 *
 * @param enough a growth that is not measured again
 * @param prepare makes the function's input of a text
 */
export function measureGrowth(
  read: (text: string) => unknown,
  enough: number,
  prepare = (text: string) => text,
): Growth {
  const create = (part: string, size: number) =>
    prepare(`${part.repeat(Math.ceil(size / part.length))}@`);
  const times = PARTS.map((part) => [measure(read, create(part, LARGE), 5), part] as const);
  let [ms, part] = times.reduce((one, other) => (other[0] > one[0] ? other : one));
  const [small, large] = [create(part, SMALL), create(part, LARGE)];
  const repeated = () => Array.from({ length: LARGE / SMALL }, () => read(small));
  let growth = Number.POSITIVE_INFINITY;
  for (let count = 0; growth > enough && count < TRIES && ms < HOPELESS_MS; count++) {
    ms = Math.min(ms, measure(read, large, 5));
    growth = Math.min(growth, ms / (measure(repeated, '', 5) / (LARGE / SMALL)));
  }
  return { part, ms, growth };
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
