/** There is no connection, or it does not answer: a 503. pg has no code for most of these. */
export class DatabaseUnavailable extends Error {
  override name = 'DatabaseUnavailable';
  readonly code: string | undefined;

  constructor(cause: Error & { code?: string | undefined }) {
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
function isTls({ code = '', message }: Error & { code?: string | undefined }): boolean {
  return (
    /CERT|^UNABLE_TO_VERIFY|^ERR_TLS|^ERR_SSL/.test(code) ||
    /SSL connection|no encryption|SSL off/.test(message)
  );
}
