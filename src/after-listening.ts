import type { FastifyInstance } from 'fastify';

/** Calls `run` `delayMs` milliseconds after the port opens, unless the app stops before that. */
export function afterListening(app: FastifyInstance, delayMs: number, run: () => unknown): void {
  const runLater = () => void (app.stopping.aborted || run());
  app.addHook('onListen', async () => void setTimeout(runLater, delayMs).unref());
}
