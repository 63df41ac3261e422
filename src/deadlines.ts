import { errorCodes, type FastifyInstance, type FastifyReply } from 'fastify';
import { answerOrClose, describeError, sendAtOnce } from '../plugins/errors/answer.ts';
import { cutOffSlowestReaders, cutOffSlowestSenders, observeAll } from './held-memory.ts';
import { hasBegun } from './node-http.ts';
import { cutOff, type OpenRequest } from './open-request.ts';

declare module 'fastify' {
  interface FastifyContextConfig {
    /** False if the route may take longer than REQUEST_TIMEOUT_MS until its first byte. */
    timeout?: boolean;
  }
}

const SWEEP_MS = 1_000;

const NO_ANSWER = 'A late request has no answer: its connection is closed';

/** How long a client may read nothing of its answer, in milliseconds. */
const STALL_MS = 45_000;

/** Limits the time to an answer's first byte, the time a client reads nothing, and the memory. */
export function watchDeadlines(app: FastifyInstance): void {
  const { REQUEST_TIMEOUT_MS } = app.config;
  // One timer for all: Fastify's `handlerTimeout` has one per request, and ends begun streams.
  const sweep = () => {
    const entries = observeAll(app.openRequests);
    for (const entry of entries) {
      if (isLate(entry, REQUEST_TIMEOUT_MS)) answerLate(entry, entry.reply!, REQUEST_TIMEOUT_MS);
      else if (entry.isLate && !hasBegun(entry.reply!.raw)) answerAtOnce(entry.reply!);
      else if (performance.now() - entry.progressAt > STALL_MS) cutOff([entry]);
    }
    cutOffSlowestReaders(entries);
    cutOffSlowestSenders(entries);
  };
  const timer = setInterval(sweep, Math.min(SWEEP_MS, REQUEST_TIMEOUT_MS / 4)).unref();
  app.addHook('onClose', async () => clearInterval(timer));
}

function isLate(entry: OpenRequest, timeoutMs: number): boolean {
  const { reply, turnAt } = entry;
  if (!reply || entry.isLate || hasBegun(reply.raw)) return false;
  if (reply.sent && entry.isUpgraded) return false;
  const { config, handlerTimeout = 0 } = reply.request.routeOptions;
  if (config.timeout === false) return false;
  return performance.now() - turnAt > Math.max(timeoutMs, handlerTimeout);
}

function answerLate(entry: OpenRequest, reply: FastifyReply, timeoutMs: number): void {
  entry.isLate = true;
  const err = new errorCodes.FST_ERR_HANDLER_TIMEOUT(timeoutMs, reply.request.routeOptions.url);
  if (reply.sent) {
    reply.log.error({ err }, 'A hijacked answer did not begin in time: its connection is closed');
    return void reply.raw.destroy();
  }
  const { raw } = reply.request;
  // hijack() makes Fastify ignore what the handler sends, but removes what aborts request.signal.
  const listeners = raw.rawListeners('close');
  const answer = () => {
    reply.send(err);
    reply.hijack();
    for (const listener of listeners) listener.call(raw);
  };
  answerOrClose(reply, answer, NO_ANSWER);
}

/** An error handler or an onError hook of the app may be late itself. */
function answerAtOnce(reply: FastifyReply): void {
  answerOrClose(reply, () => sendAtOnce(reply, describeError(503)), NO_ANSWER);
}
