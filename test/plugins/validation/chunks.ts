import { type AddressInfo, connect, type Socket } from 'node:net';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import type { FastifyInstance } from 'fastify';
import type { Test } from 'tap';
import { poll } from '../../helper.ts';

const CHUNKS = 200_000;

/**
 * Sends the beginning of a body of the type: 200,000 chunks of one byte, which is a space.
 *
 * @param line the method and path
 * @returns the open connection, and by how many bytes the memory has grown
 */
export async function sendChunks(
  t: Test,
  app: FastifyInstance,
  line: string,
  type: string,
): Promise<{ socket: Socket; grown: number }> {
  await app.listen({ host: '127.0.0.1', port: 0 });
  setFlagsFromString('--expose-gc');
  const gc: () => void = runInNewContext('gc');
  const measure = () => {
    gc();
    const { heapUsed, external } = process.memoryUsage();
    return heapUsed + external;
  };
  const before = measure();
  const socket = connect((app.server.address() as AddressInfo).port, '127.0.0.1');
  t.teardown(() => socket.destroy());
  const fields = ['Host: a', 'Connection: close', `Content-Type: ${type}`];
  const head = [`${line} HTTP/1.1`, ...fields, 'Transfer-Encoding: chunked', '\r\n'].join('\r\n');
  socket.write(head + '1\r\n \r\n'.repeat(CHUNKS));
  const received = () => app.openRequests.list()[0]?.request.socket.bytesRead ?? 0;
  await poll(() => received() === head.length + CHUNKS * 6);
  return { socket, grown: measure() - before };
}
