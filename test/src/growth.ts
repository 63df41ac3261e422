/** Parts that make expressions backtrack when repeated. */
const PARTS = [
  ...['a', 'a-', '0', ' ', ' ,', '\n', '/', '%41', '%', '.', '1.', ':', '::', '=', '"', "'", '\\'],
  ...['@', '?a=', '://', 'a://b:', ':@/', 'http://a,', 'token=', 'token="', "pwd:'", 'password '],
  ...['bearer ', 'basic a', 'args beginning with: ', 'invalid input syntax for type ', '0-'],
  ...['\ud800', '\udc00a', '\0', '\u{1f600}', '"\\"', "E'", '$a$', '/*', '--', 'from "', 'api-'],
];

const SMALL = 1_024;
const LARGE = 65_536;

/** No linear function takes this long, in milliseconds, so it is not measured again. */
const HOPELESS_MS = 1_000;

/**
 * The number of tries. One within the bound is enough, because a busy machine makes nothing faster.
 */
const TRIES = 200;

export interface Growth {
  /** The repeated part that takes longest. */
  part: string;
  /** The time for 64 KiB of it, in milliseconds. */
  ms: number;
  /** The ratio of that to the time for 1 KiB. */
  growth: number;
}

/**
 * Measures a function with hostile texts, and returns the worst.
 *
 * @param enough a growth that is not measured again
 * @param prepare makes the function's input from a text
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

/** The fastest of some runs, in milliseconds. */
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
