import assert from 'node:assert/strict';
import type { RunningApp } from '../app.ts';
import { ask } from './request.ts';

/** The first app's status, and the second app's answer according to its log. */
type Answers = [status: number, ofSecond: string];

/** The first route, from docs/auth.md, passes the token on. The second does not. */
const PASSED = '/proof/me';
const ALONE = '/proof/alone';

/** Starts two built apps; the second is the backing app of the first. */
export async function proveChain(
  start: (environment?: Record<string, string>) => Promise<RunningApp>,
  token: string,
): Promise<void> {
  await using second = await start();
  await using other = await start({ AUTH_AUDIENCE: 'other' });
  const accepted: Answers[] = [
    [200, 'proof 200'],
    [502, 'nobody 401'],
  ];
  const refused: Answers[] = [
    [502, 'nobody 401'],
    [502, 'nobody 401'],
  ];
  const cases: [RunningApp, string, Answers[]][] = [
    [second, second.url, accepted],
    [second, second.url.replace('//', '//user:password@'), accepted],
    [other, other.url, refused],
  ];
  for (const [app, url, expected] of cases) {
    await using first = await start({ BACKING_APP_URL: url });
    const answers: Answers[] = [];
    for (const path of [PASSED, ALONE]) {
      const { challenge, id } = await ask(first, path, `Bearer ${token}`);
      answers.push([challenge[0], await findCaller(app, id)]);
    }
    assert.deepEqual(answers, expected);
    for (const { process } of [first, app])
      assert(!process.lines.some((line) => line.includes(token)), 'the log contains the token');
  }
}

/** Finds the caller of the /me request with this id, and the status of the answer. */
async function findCaller({ process }: RunningApp, id: unknown): Promise<string> {
  const line = await process.waitForLine(`"requestId":"${id}","method":"GET","path":"/me"`);
  const { user = 'nobody', status } = JSON.parse(line);
  return `${user} ${status}`;
}
