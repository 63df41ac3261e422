import assert from 'node:assert/strict';
import { HEALTH_INTERVAL_MS } from './rolling-restart.ts';
import { type RouterName, startRouter } from './router.ts';
import { type Program, readPorts, startProgram } from './web.ts';

/** Uploads that the app refuses before it has read them. */
const UPLOADS = [
  { type: 'application/json', bytes: 5_000_000, status: 413 },
  { type: 'application/json', bytes: 1_100_000, status: 413 },
  { type: 'image/png', bytes: 300_000, status: 415 },
];

/** How often each is sent: only some would fail if the app closed their connections at once. */
const TIMES = 20;

/** Proves that the client gets the app's answer, and not a 502 of the router. */
export async function proveRefusedUploads(
  router: RouterName,
  programs: [Program, Program],
): Promise<string> {
  await using stack = new AsyncDisposableStack();
  const apps = readPorts(programs);
  for (const program of programs) stack.use(await startProgram(program));
  const options = { apps, healthIntervalMs: HEALTH_INTERVAL_MS };
  const { port } = stack.use(await startRouter(router, options));
  for (const { type, bytes, status } of UPLOADS) {
    const body = Buffer.alloc(bytes, ' ');
    for (let count = 0; count < TIMES; count++) {
      const answer = await fetch(`http://127.0.0.1:${port}/notes`, {
        method: 'POST',
        headers: { 'content-type': type },
        body,
      });
      const { statusCode } = (await answer.json()) as { statusCode: number };
      assert.deepEqual([answer.status, statusCode], [status, status], `${bytes} bytes of ${type}`);
    }
  }
  return `${UPLOADS.length * TIMES} uploads`;
}
