import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import type { FastifyInstance } from 'fastify';

/** Listens to channels of node:diagnostics_channel, by name, until the app closes. */
export function watchChannels<Message>(
  app: FastifyInstance,
  listeners: Record<string, (message: Message) => void>,
): void {
  for (const [name, listener] of Object.entries(listeners)) subscribe(name, listener as never);
  app.addHook('onClose', async () => {
    for (const [name, listener] of Object.entries(listeners)) unsubscribe(name, listener as never);
  });
}
