import type { FastifyBaseLogger } from 'fastify';

/** An error whose message tells the operator everything: it is logged without its stack. */
export class OperatorError extends Error {
  override name = 'OperatorError';
}

/** Ends the process with exit code 1 and the error as its last line. */
export function exitWith(error: Error, logger: FastifyBaseLogger): never {
  if (error instanceof OperatorError) logger.fatal(error.message);
  else logger.fatal({ err: error }, error.message);
  process.exit(1);
}
