import type { FastifyBaseLogger } from 'fastify';
import { toError } from './error-log.ts';
import { OperatorError } from './operator-error.ts';

/** Ends the process with exit code 1. The error is the last line of the log. */
export function exitWith(thrown: unknown, logger: FastifyBaseLogger): never {
  const error = toError(thrown);
  if (error instanceof OperatorError) logger.fatal(error.message);
  else logger.fatal({ err: error }, error.message);
  process.exit(1);
}
