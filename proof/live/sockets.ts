import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';

/**
 * How long a server may take to notice that a client has gone, in milliseconds: Apache httpd does
 * when it sends, a heartbeat or two later.
 */
const CLOSE_MS = 40_000;

/** States of Linux: neither side has closed the connection, or the other side alone. */
const ESTABLISHED = '01';
const CLOSE_WAIT = '08';

/**
 * Resolves when the server at this port of the machine holds no connection, nor anybody one to it.
 */
export async function waitUntilClosed(port: number): Promise<void> {
  const deadline = performance.now() + CLOSE_MS;
  while ((await countSockets(port)) > 0 && performance.now() < deadline) await sleep(100);
  assert.equal(await countSockets(port), 0, `sockets of port ${port} are left`);
}

/**
 * Without those that a router keeps for later although the server behind it has closed them, as
 * Apache httpd does.
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
