import type { FastifyBaseLogger } from 'fastify';

/** Says once that the queue is away, and once that it is back: called with each error, or none. */
export function createOutageLog(log: FastifyBaseLogger): (err?: Error) => void {
  let problem: string | undefined;
  return (err) => {
    if (err?.message === problem) return;
    problem = err?.message;
    const away = 'The job queue is away, or not released yet: it is asked again until it answers';
    if (err) log.warn({ err }, away);
    else log.info('The job queue is back');
  };
}
