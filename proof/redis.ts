import { findPort, makeFolder, pickUser, RunningProcess } from './processes.ts';

/** Starts a temporary Redis server on loopback. Disposing ends it. */
export async function startRedis(): Promise<AsyncDisposable & { url: string }> {
  const port = await findPort();
  const folder = await makeFolder('redis');
  const args = ['--bind', '127.0.0.1', '--port', `${port}`, '--save', '', '--dir', '/'];
  const server = new RunningProcess('redis-server', args, {
    folder,
    environment: { PATH: process.env.PATH },
    user: pickUser(),
  });
  await server.waitForLine('Ready to accept connections');
  return {
    url: `redis://127.0.0.1:${port}`,
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
}
