import { once } from 'node:events';
import http from 'node:http';
import net from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

export interface Answer {
  status: number;
  headers: http.IncomingHttpHeaders;
  body: string;
}

/** Sends the head of a request; readAnswer() reads its answer. */
export function open(url: string, options: http.RequestOptions = {}): http.ClientRequest {
  const request = http.request(url, { agent: false, ...options });
  // readAnswer() gets the error too.
  request.on('error', () => {});
  return request;
}

/** Resolves with a complete answer, and rejects without one. */
export async function readAnswer(request: http.ClientRequest): Promise<Answer> {
  const [response] = (await once(request, 'response')) as [http.IncomingMessage];
  let body = '';
  for await (const chunk of response.setEncoding('utf8')) body += chunk;
  return { status: response.statusCode!, headers: response.headers, body };
}

/** Sends a GET on a new connection, unless an agent is given. */
export function get(url: string, options?: http.RequestOptions): Promise<Answer> {
  return readAnswer(open(url, options).end());
}

/** Opens a connection without a request. */
export async function connect(port: number): Promise<net.Socket> {
  const socket = net.connect({ port, host: '127.0.0.1', noDelay: true });
  await once(socket, 'connect');
  // The reader gets the error too.
  socket.on('error', () => {});
  return socket;
}

/**
 * Sends a GET over a connection and resolves with all data once a complete JSON answer has arrived.
 */
export async function getOver(socket: net.Socket, path: string): Promise<string> {
  let received = '';
  socket.write(`GET ${path} HTTP/1.1\r\nhost: localhost\r\n\r\n`);
  const ended = new Promise((resolve) =>
    socket.destroyed ? resolve([]) : socket.once('close', () => resolve([])),
  );
  while (!/\r\n\r\n.*\}/s.test(received)) {
    const [data] = (await Promise.race([once(socket, 'data'), ended])) as [Buffer?];
    if (!data) throw new Error(`The connection was closed after "${received}"`);
    received += data;
  }
  return received;
}

/** Resolves when the port refuses connections, with the time of the last accepted one. */
export async function waitUntilRefused(port: number): Promise<number> {
  let takenAt = performance.now();
  for (;;) {
    const startedAt = performance.now();
    const socket = await connect(port).catch(() => undefined);
    if (!socket) return takenAt;
    socket.destroy();
    takenAt = startedAt;
    await sleep(5);
  }
}
