import { monitorEventLoopDelay } from 'node:perf_hooks';
import createError from '@fastify/error';
import fp from 'fastify-plugin';

/** How late the event loop may be, in milliseconds. All answers are late by this time. */
const MAX_DELAY_MS = 200;

const SAMPLE_MS = 250;

/** How many late samples in a row are an overload. A single one may be a long piece of work. */
const SAMPLES = 4;

/** Fewer requests in a sample are not the cause of an overload: to refuse them would not help. */
const MIN_REQUESTS = 10;

const Overloaded = createError('SERVICE_UNAVAILABLE', 'The event loop is over %d ms late', 503);

declare module 'fastify' {
  interface FastifyContextConfig {
    /** False if the route is answered even while the process is overloaded. */
    overload?: boolean;
  }
}

/** Refuses requests under overload. @fastify/under-pressure does so after each short block. */
export default fp(
  async (app) => {
    const histogram = monitorEventLoopDelay({ resolution: 10 });
    let late = 0;
    let arrived = 0;
    const sample = () => {
      // If nothing was measured, the event loop was blocked since the last sample.
      const isLate = histogram.count === 0 || histogram.max / 1e6 > MAX_DELAY_MS;
      if (!isLate) late = 0;
      else if (arrived >= MIN_REQUESTS) late++;
      arrived = 0;
      histogram.reset();
    };
    const timer = setInterval(sample, SAMPLE_MS).unref();
    histogram.enable();
    app.addHook('onRequest', (request, _reply, done) => {
      // If these are too many, to refuse others would not help.
      if (request.routeOptions.config.overload === false) return done();
      arrived++;
      done(late >= SAMPLES ? new Overloaded(MAX_DELAY_MS) : undefined);
    });
    app.addHook('onClose', async () => {
      clearInterval(timer);
      histogram.disable();
    });
  },
  { name: 'overload', dependencies: ['errors'] },
);
