import type { FastifyInstance } from 'fastify';

/** Work such as compiling blocks requests, so it starts this much later, in milliseconds. */
const DELAY_MS = 100;

/** Calls `run` a moment after the port opens, unless the app stops before that. */
export function afterListening(app: FastifyInstance, run: () => unknown): void {
  const runLater = () => void (app.stopping.aborted || run());
  app.addHook('onListen', async () => void setTimeout(runLater, DELAY_MS).unref());
}
