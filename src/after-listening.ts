import type { FastifyInstance } from 'fastify';

/** Calls `run` this long after the port opens, in milliseconds, unless the app closes before. */
export function afterListening(app: FastifyInstance, delayMs: number, run: () => unknown): void {
  const runLater = () => void (app.stopping.aborted || run());
  app.addHook('onListen', async () => void setTimeout(runLater, delayMs).unref());
}
