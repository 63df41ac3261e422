import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';

/**
 * The maximum time to detect a disconnect, in milliseconds: Apache httpd detects it only when it
 * sends a heartbeat or two.
 */
const CLOSE_MS = 40_000;

/** Linux socket states: open, or closed by the other side alone. */
const ESTABLISHED = '01';
const CLOSE_WAIT = '08';

/** Resolves when no connection to this port is open, on either side. */
export async function waitUntilClosed(port: number): Promise<void> {
  const deadline = performance.now() + CLOSE_MS;
  while ((await countSockets(port)) > 0 && performance.now() < deadline) await sleep(100);
  assert.equal(await countSockets(port), 0, `sockets of port ${port} are still open`);
}

/**
 * Ignores idle connections that a router keeps after the server closed them, as Apache httpd does.
 */
async function countSockets(port: number): Promise<number> {
  const tables = await Promise.all(
    ['tcp', 'tcp6'].map((name) => readFile(`/proc/net/${name}`, 'utf8')),
  );
  const end = `:${port.toString(16).toUpperCase().padStart(4, '0')}`;
  const sockets = tables.flatMap((table) => table.trim().split('\n').slice(1));
  return sockets.filter((socket) => {
    const [, local = '', remote = '', state] = socket.trim().split(/\s+/);
    const isOpen = state === ESTABLISHED && (local.endsWith(end) || remote.endsWith(end));
    return isOpen || (state === CLOSE_WAIT && local.endsWith(end));
  }).length;
}
