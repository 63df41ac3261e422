import type { Config } from '../plugins/env/index.ts';
import { OperatorError } from './operator-error.ts';
import type { Listener } from './process.ts';

/** What binding `::` answers where the kernel, the interfaces or a sandbox have no IPv6. */
const WITHOUT_IPV6 = ['EAFNOSUPPORT', 'EADDRNOTAVAIL', 'EINVAL'];

/** Opens the listener on HOST and PORT, or throws an OperatorError; `::` falls back to 0.0.0.0. */
export async function bind(
  listener: Listener,
  { HOST: host, PORT: port }: Readonly<Config>,
): Promise<void> {
  try {
    await listener.listen({ host, port });
  } catch (error) {
    const { code = '' } = error as NodeJS.ErrnoException;
    if (host === '::' && WITHOUT_IPV6.includes(code))
      return bind(listener, { HOST: '0.0.0.0', PORT: port } as Config);
    throw new OperatorError(describe(code, host, port), { cause: error });
  }
}

function describe(code: string, host: string, port: number): string {
  if (code === 'EADDRINUSE') {
    const airPlay =
      ' (on macOS that is often the AirPlay Receiver: System Settings, General, AirDrop & Handoff)';
    return `Port ${port} is taken by another process${port === 5000 ? airPlay : ''}. Stop it, or set PORT to a free one, such as PORT=${port === 65535 ? 5000 : port + 1}.`;
  }
  if (code === 'EACCES') {
    return `Port ${port} is privileged and this user may not bind it. Set PORT to one from 1024 on, such as PORT=5000.`;
  }
  if (['EADDRNOTAVAIL', 'ENOTFOUND', 'EAI_AGAIN', 'EINVAL', 'EAFNOSUPPORT'].includes(code)) {
    return `HOST is ${host}, which is no address of this machine (${code}). Leave HOST out to listen on all of them.`;
  }
  return `Cannot listen on ${host}, port ${port} (${code}).`;
}
