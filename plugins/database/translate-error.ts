import createError from '@fastify/error';
import type { ClientError } from '../errors/index.ts';
import { DatabaseUnavailable } from './unavailable.ts';

const Unavailable = createError('SERVICE_UNAVAILABLE', 'The database is away.', 503);
const TryAgain = createError('TRY_AGAIN', 'Another request was in the way.', 503);
const Conflict = createError('CONFLICT', 'This conflicts with what is stored.', 409);
const UnknownReference = createError('UNKNOWN_REFERENCE', 'What this refers to is unknown.', 422);
const InvalidValue = createError('INVALID_VALUE', 'A value cannot be stored.', 422);

/** An error that the database itself gave, of pg or of PGlite. */
export type SqlError = Error & { code?: string | undefined };

/**
 * What a client is told of an error of the database, without its SQL and values; nothing of what is
 * wrong in the app, such as an unknown column.
 *
 * SQLSTATEs (PostgreSQL, appendix A): 08 connection, 25006 read-only (a failover), 28 and 3D a
 * server that does not know us (yet), 53 insufficient resources, 54000 a value too long for an
 * index, 55 not in this state (a lock), 57 operator intervention, 58 system error.
 */
export function translateError(error: SqlError): ClientError | undefined {
  const { code, message } = error;
  // A protocol error has no code.
  const isAway = error instanceof DatabaseUnavailable || code === undefined;
  if (isAway || /^(08|25006|28|3D|53|55|57|58)/.test(code)) return new Unavailable();
  if (code.startsWith('40')) return Object.assign(new TryAgain(), { retryAfter: 1 });
  if (code === '23503' && isOfChild(message)) return new UnknownReference();
  if (/^(22|23502|23514|44|54000)/.test(code)) return new InvalidValue();
  if (code.startsWith('23')) return new Conflict();
  return undefined;
}

/** As long is the message of a foreign key at most, in characters: a name has 63 bytes. */
const MAX_MESSAGE = 1_000;

/**
 * A parent that is missing and one that is still referred to have one code. In every language of
 * the server, the message of the first quotes two names (child, constraint), the other three.
 */
function isOfChild(message: string): boolean {
  return (message.slice(0, MAX_MESSAGE).match(/["«»„“”]/g) ?? []).length === 4;
}
