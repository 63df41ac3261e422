import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';

/**
 * How long the other side may take to notice that a socket was closed, in milliseconds: Apache httpd notices it when
 * it sends, a heartbeat or two later.
 */
const CLOSE_MS = 40_000;

/** The states of what is no open connection: TIME_WAIT, after its end on both sides, and LISTEN. */
const NOT_OPEN = ['06', '0A'];

/** Resolves when no connection to or from this port of the machine is open on either side. */
export async function waitUntilClosed(port: number): Promise<void> {
  const deadline = performance.now() + CLOSE_MS;
  let open = await listSockets(port);
  while (open.length > 0 && performance.now() < deadline) {
    await sleep(100);
    open = await listSockets(port);
  }
  assert.equal(open.length, 0, `sockets of port ${port} are left:\n${open.slice(0, 5).join('\n')}`);
}

/** The lines of Linux's tables that have a socket with this port at one of its ends. */
async function listSockets(port: number): Promise<string[]> {
  const tables = await Promise.all(
    ['tcp', 'tcp6'].map((name) => readFile(`/proc/net/${name}`, 'utf8')),
  );
  const end = `:${port.toString(16).toUpperCase().padStart(4, '0')}`;
  const sockets = tables.flatMap((table) => table.trim().split('\n').slice(1));
  return sockets.filter((line) => {
    const [, local = '', remote = '', state = ''] = line.trim().split(/\s+/);
    return (local.endsWith(end) || remote.endsWith(end)) && !NOT_OPEN.includes(state);
  });
}
