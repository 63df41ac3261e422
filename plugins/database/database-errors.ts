import createError from '@fastify/error';
import type { ClientError } from '../errors/index.ts';

const Unavailable = createError('SERVICE_UNAVAILABLE', 'The database is not available.', 503);
const TryAgain = createError('TRY_AGAIN', 'Another request interfered.', 503);
const Conflict = createError('CONFLICT', 'This conflicts with stored data.', 409);
const UnknownReference = createError('UNKNOWN_REFERENCE', 'This refers to something unknown.', 422);
const InvalidValue = createError('INVALID_VALUE', 'A value cannot be stored.', 422);

export type SqlError = Error & { code?: string | undefined; routine?: string };

/** pg and PGlite have a class each for such an error. Both name it after PostgreSQL's message. */
export function isSqlError(error: Error): error is SqlError {
  return error.name === 'error' && 'length' in error;
}

/**
 * PgBouncer refuses with this SQLSTATE. PostgreSQL, which names its `routine`, has it for a mistake
 * in the app, such as a query with more than 65,535 values.
 */
export function isPoolerRefusal({ code, routine }: SqlError): boolean {
  return code === '08P01' && routine === undefined;
}

/** Whether to drop the connection: broken, ended, or to a primary that was demoted. */
export function isConnectionLost(error: SqlError): boolean {
  // A protocol error has no code.
  return (
    !error.code || isPoolerRefusal(error) || /^(08(?!P01)|57P|25(006|P03|P04))/.test(error.code)
  );
}

/** PostgreSQL or PgBouncer answers, but admits no more connections. PgBouncer has no own code. */
export function isServerFull({ code, message }: SqlError): boolean {
  return code === '53300' || /connections allowed|connections exceeded/.test(message);
}

/** There is no connection, or it does not answer: a 503. pg has no code for most of these. */
export class DatabaseUnavailable extends Error {
  override name = 'DatabaseUnavailable';
  readonly code: string | undefined;

  constructor(cause: NodeJS.ErrnoException) {
    const reason = cause.message || cause.code;
    super(isTls(cause) ? `TLS failed: ${reason}. ${TLS_REMEDY}` : `No database: ${reason}`, {
      cause,
    });
    this.code = cause.code;
  }
}

const TLS_REMEDY =
  'For a private certificate authority, add sslrootcert=FILE to DATABASE_URL. ' +
  'Set DATABASE_TLS=no-verify to connect without a check of the certificate ' +
  '(Heroku Postgres needs that), or DATABASE_TLS=off if the server does not support TLS.';

/** Matches Node's codes for refused certificates, and messages of pg and of servers without TLS. */
function isTls({ code = '', message }: NodeJS.ErrnoException): boolean {
  return (
    /CERT|^UNABLE_TO_VERIFY|^ERR_TLS|^ERR_SSL/.test(code) ||
    /SSL connection|no encryption|SSL off/.test(message)
  );
}

/** What pg says to a cursor whose connection breaks. It has no codes. */
const BROKEN = /^Connection terminated|^Client .* is not queryable$/;

const OUTAGE = /^(28|3D|53|55006|55P03|57|58)/;

/**
 * A database error for the client, without SQL and values. Undefined for a mistake in the app.
 * SQLSTATEs (PostgreSQL, appendix A): 08 connection, 25006 read-only (a failover), 25P03 and 25P04
 * a late transaction, 28 and 3D a server that does not know the app (yet), 53 resources, 54000 too
 * long for an index, 55006 in use, 55P03 a lock, 57 operator intervention, 58 system error.
 */
export function translateError(error: Error): ClientError | undefined {
  const { cause } = error;
  // Another library, such as Drizzle, may have put its own error around one of the database.
  const isWrapper = cause instanceof Error && !('statusCode' in error);
  return translate(error) ?? (isWrapper ? translate(cause) : undefined);
}

function translate(error: Error): ClientError | undefined {
  const { message } = error;
  if (error instanceof DatabaseUnavailable || BROKEN.test(message)) return new Unavailable();
  if (!isSqlError(error)) return undefined;
  const { code = '' } = error;
  if (isConnectionLost(error) || OUTAGE.test(code)) return new Unavailable();
  if (code.startsWith('40')) return Object.assign(new TryAgain(), { retryAfter: 1 });
  if (code === '23503' && isOfChild(message)) return new UnknownReference();
  if (/^(22|23502|23514|44|54000)/.test(code)) return new InvalidValue();
  if (code.startsWith('23')) return new Conflict();
  return undefined;
}

/** The longest message of a foreign key, in characters. A name has at most 63 bytes. */
const MAX_MESSAGE = 1_000;

/** In every language, PostgreSQL quotes two names for a missing parent, three for one in use. */
function isOfChild(message: string): boolean {
  return (message.slice(0, MAX_MESSAGE).match(/["«»„“”]/g) ?? []).length === 4;
}
