import type { Test } from 'tap';
import { createFolder, findFreePort, poll, type TestProcess } from '../helper.ts';
import type { Certificate } from './certificate.ts';
import { findProgram, giveToServer, ServerProcess } from './server-process.ts';

export interface RedisOptions {
  password?: string;
  /** The server accepts only TLS, with this certificate. */
  certificate?: Certificate;
}

export interface RedisServer extends ServerProcess {
  url: string;
}

/** Starts a Redis in memory. */
export async function startRedis(
  t: Test,
  { password, certificate }: RedisOptions = {},
): Promise<RedisServer> {
  const folder = await createFolder(t);
  giveToServer(folder);
  const port = await findFreePort();
  const settings = {
    bind: '127.0.0.1',
    dir: folder,
    save: '',
    ...(password && { requirepass: password }),
    ...(certificate
      ? {
          port: '0',
          'tls-port': `${port}`,
          'tls-cert-file': certificate.certificate,
          'tls-key-file': certificate.key,
          'tls-auth-clients': 'no',
        }
      : { port: `${port}` }),
  };
  const options = Object.entries(settings).flatMap(([name, value]) => [`--${name}`, value]);
  const server = new ServerProcess(
    t,
    [findProgram('redis-server'), ...options],
    'Ready to accept connections',
  );
  await server.start();
  const credentials = password ? `:${encodeURIComponent(password)}@` : '';
  return Object.assign(server, {
    url: `redis${certificate ? 's' : ''}://${credentials}127.0.0.1:${port}`,
  });
}

/** Resolves when readiness reports this status of Redis. */
export async function waitForRedis({ url }: TestProcess, status: 'up' | 'down'): Promise<void> {
  await poll(async () => {
    const answer = await fetch(`${url}/health/ready`);
    const { services } = (await answer.json()) as { services: { redis?: { status: string } } };
    return services.redis?.status === status;
  });
}
