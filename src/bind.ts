import { OperatorError } from './operator-error.ts';
import type { Listener } from './process.ts';

/** Error codes of binding `::` if the kernel, the interfaces or a sandbox have no IPv6. */
const WITHOUT_IPV6 = ['EAFNOSUPPORT', 'EADDRNOTAVAIL', 'EINVAL'];

const AIR_PLAY =
  ' (on macOS that is often the AirPlay Receiver: System Settings, General, AirDrop & Handoff)';

/** Binds a host and port, or throws an OperatorError. Without IPv6, `::` falls back to 0.0.0.0. */
export async function bind(listener: Listener, host: string, port: number): Promise<void> {
  try {
    await listener.listen({ host, port });
  } catch (error) {
    const { code = '' } = error as NodeJS.ErrnoException;
    if (host === '::' && WITHOUT_IPV6.includes(code)) return bind(listener, '0.0.0.0', port);
    throw new OperatorError(describe(code, host, port), { cause: error });
  }
}

function describe(code: string, host: string, port: number): string {
  if (code === 'EADDRINUSE') {
    const free = port === 65535 ? 5000 : port + 1;
    const owner = port === 5000 ? `another process${AIR_PLAY}` : 'another process';
    const remedy = `Stop it, or set PORT to a free one, such as PORT=${free}.`;
    return `Port ${port} is taken by ${owner}. ${remedy}`;
  }
  if (code === 'EACCES')
    return (
      `Port ${port} is privileged and this user may not bind it. ` +
      'Set PORT to one from 1024 on, such as PORT=5000.'
    );
  if ([...WITHOUT_IPV6, 'ENOTFOUND', 'EAI_AGAIN'].includes(code))
    return (
      `HOST is ${host}, which is not an address of this machine (${code}). ` +
      'Leave HOST out to listen on all of them.'
    );
  return `Cannot listen on ${host}, port ${port} (${code}).`;
}
