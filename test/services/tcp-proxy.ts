import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { Readable } from 'node:stream';
import type { Test } from 'tap';

export interface TcpProxy {
  url: string;
  /** The loopback port for new connections. */
  target: number;
}

/**
 * Starts a TCP proxy: a service behind it can change its port, as behind a platform's router.
 *
 * @param change passes on the service's answers, such as more slowly
 */
export async function startTcpProxy(
  t: Test,
  target: number,
  change = (answers: AsyncIterable<Buffer>) => answers,
): Promise<TcpProxy> {
  const sockets = new Set<Socket>();
  const server = createServer((client) => {
    const service = connect(proxy.target, '127.0.0.1');
    client.pipe(service);
    Readable.from(change(service))
      .on('error', () => client.destroy())
      .pipe(client);
    for (const [socket, other] of [
      [client, service],
      [service, client],
    ] as const) {
      sockets.add(socket);
      socket.on('error', () => other.destroy()).on('close', () => other.destroy());
    }
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  t.teardown(() => {
    server.close();
    for (const socket of sockets) socket.destroy();
  });
  const proxy = { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, target };
  return proxy;
}
