import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { test } from 'tap';
import { buildTestApp, captureLog, DOWN } from '../helper.ts';

/** The ways in which Redis can be down. */
const AWAY: Record<string, (socket: Socket) => void> = {
  'ends each connection': (socket) => socket.destroy(),
  'never answers': () => undefined,
};

for (const [name, answer] of Object.entries(AWAY))
  test(`While Redis ${name}, the process counts itself and logs it once`, async (t) => {
    const sockets = new Set<Socket>();
    const server = createServer((socket) => {
      sockets.add(socket.on('error', () => undefined));
      answer(socket);
    });
    await once(server.listen(0, '127.0.0.1'), 'listening');
    t.teardown(() => {
      server.close();
      for (const socket of sockets) socket.destroy();
    });
    const REDIS_URL = `redis://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const { logger, lines } = captureLog();
    const environment = { DATABASE_URL: DOWN, REDIS_URL, RATE_LIMIT_MAX: '2' };
    const app = await buildTestApp(t, environment, { logger });
    for (const status of [404, 404, 429, 429])
      t.equal((await app.inject('/nowhere')).statusCode, status);
    t.equal(lines.filter(({ msg }) => msg.startsWith('The rate limit is counted in')).length, 1);
  });
