import type { FastifyBaseLogger } from 'fastify';
import { toError } from './error-log.ts';

/** An error with a complete message for the operator. It is logged without its stack. */
export class OperatorError extends Error {
  override name = 'OperatorError';
}

/** Ends the process with exit code 1. The error is the last line of the log. */
export function exitWith(thrown: unknown, logger: FastifyBaseLogger): never {
  const error = toError(thrown);
  if (error instanceof OperatorError) logger.fatal(error.message);
  else logger.fatal({ err: error }, error.message);
  process.exit(1);
}
