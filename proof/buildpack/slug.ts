import assert from 'node:assert/strict';
import type { PostgresServer } from '../postgres.ts';
import { findPort, RunningProcess, type RunOptions } from '../processes.ts';
import { readStatus } from '../routing/web.ts';

/** What a platform starts: the app as a buildpack leaves it. */
export interface Slug {
  folder: string;
  /** The PATH on which `node` is found. */
  path: string;
  /** The commands of the Procfile. */
  procfile: Map<string, string>;
  user?: RunOptions['user'];
}

/** The maximum time until the app is ready on a busy machine, in milliseconds. */
const READY_TIMEOUT_MS = 120_000;

const JSON_TYPE = { 'content-type': 'application/json' };

/**
 * Runs the release twice, creates to deletes a note, then sends SIGTERM. The environment has only
 * the variables named here.
 */
export async function provePass(slug: Slug, postgres: PostgresServer): Promise<string> {
  const port = await findPort();
  const settings = {
    PORT: `${port}`,
    HOST: '127.0.0.1',
    DATABASE_URL: postgres.url,
    SHUTDOWN_DELAY_MS: '100',
  };
  for (let time = 1; time <= 2; time++) {
    const release = run(slug, 'release', settings);
    assert.deepEqual(await release.ended, { code: 0, signal: null }, release.lines.join('\n'));
  }
  await using web = run(slug, 'web', settings);
  await web.waitForLine('Server listening');
  const url = `http://127.0.0.1:${port}`;
  const deadline = performance.now() + READY_TIMEOUT_MS;
  while ((await readStatus(`${url}/health/ready`)) !== 200)
    assert(!web.hasEnded && performance.now() < deadline, web.lines.join('\n'));
  await proveNotes(url);
  web.signal('SIGTERM');
  assert.deepEqual(await web.ended, { code: 0, signal: null });
  for (const line of web.lines) assert.equal(typeof JSON.parse(line).msg, 'string', line);
  return `released, a note created to deleted, ${web.lines.length} lines of JSON, exit code 0`;
}

/** Runs the Procfile's command without a shell. */
function run(
  { folder, path, procfile, user }: Slug,
  type: string,
  settings: Record<string, string>,
): RunningProcess {
  const [command = '', ...args] = (procfile.get(type) ?? '').split(' ');
  return new RunningProcess(command, args, {
    folder,
    environment: { PATH: path, ...settings },
    user,
  });
}

async function proveNotes(url: string): Promise<void> {
  const created = await fetch(`${url}/notes`, {
    method: 'POST',
    headers: JSON_TYPE,
    body: '{"title":"Shipped"}',
  });
  assert.equal(created.status, 201);
  const note = new URL(created.headers.get('location')!, created.url);
  const changed = await fetch(note, {
    method: 'PATCH',
    headers: JSON_TYPE,
    body: '{"title":"Read"}',
  });
  assert.equal(changed.status, 200);
  const { title } = (await (await fetch(note)).json()) as { title: string };
  assert.equal(title, 'Read');
  assert.equal((await fetch(note, { method: 'DELETE' })).status, 204);
  assert.equal((await fetch(note)).status, 404);
}
