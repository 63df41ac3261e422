import type { Socket } from 'node:net';

/** How long a client may take to read its last answer and to close, in milliseconds, as in nginx. */
const LINGER_MS = 30_000;

/**
 * Lets a client read its last answer. Node closes a connection even if the client still sends, such
 * as a body that is too large. The client's next packet then resets the connection, and the answer
 * is lost (RFC 9112, 9.6). Here, only the app's side closes at first, as in nginx and Apache.
 */
export function lingerAtClose(socket: Socket): void {
  // Node calls this after the last answer of a connection.
  socket.destroySoon = () => {
    if (socket.writableEnded) return;
    socket.end();
    // Reading may have stopped, if a handler did not read its body.
    socket.once('resume', () => ignoreData(socket));
    socket.pause().resume();
    const timer = setTimeout(() => socket.destroy(), LINGER_MS).unref();
    socket.once('close', () => clearTimeout(timer));
  };
}

/** Without this, Node would parse the next requests of the client, and the app would run them. */
function ignoreData(socket: Socket): void {
  socket.removeAllListeners('data').on('data', () => undefined);
}
