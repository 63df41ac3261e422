import type { Test } from 'tap';
import type { TestProcess } from '../../test/helper.ts';

/**
 * Checks that the process ended with exit code 1 and one log line about it.
 *
 * @returns the message of that line
 */
export async function readFailure(t: Test, failed: TestProcess): Promise<string> {
  t.equal(await failed.exited, 1);
  t.strictSame(failed.noise, []);
  const problems = failed.lines.filter(({ level }) => level > 30);
  t.match(problems, [{ level: 60, err: undefined, msg: String }]);
  t.equal(problems.length, 1);
  t.equal(failed.lines.at(-1), problems[0]);
  return String(problems[0]?.msg);
}
