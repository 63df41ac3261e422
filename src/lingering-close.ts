import type { Socket } from 'node:net';

/** How long a client may take to read its last answer and to close: nginx's `lingering_time`. */
const LINGER_MS = 30_000;

/**
 * Lets a client read its last answer. Node closes the connection while the client still sends. That
 * resets it, and the answer is lost (RFC 9112, 9.6). As in nginx, the app's side closes first.
 */
export function lingerAtClose(socket: Socket): void {
  const closeNow = socket.destroySoon.bind(socket);
  // Node calls this after the last answer of a connection, before that answer counts as complete.
  socket.destroySoon = () =>
    process.nextTick(() => {
      // Requests behind the last answer get none, and end only when the connection closes.
      if (socket.destroyed || socket.openRequestCount) closeNow();
      else linger(socket);
    });
}

function linger(socket: Socket): void {
  socket.end();
  // Otherwise Node would parse the next requests of the client, and the app would run them.
  const ignoreData = () => socket.removeAllListeners('data').on('data', () => undefined);
  // Reading may have stopped, if a handler did not read its body.
  socket.once('resume', ignoreData).pause().resume();
  const timer = setTimeout(() => socket.destroy(), LINGER_MS).unref();
  socket.once('close', () => clearTimeout(timer));
}
