/**
 * Fields whose values (text, numbers, lists of text) never reach a log, however deep they are; `args` because ioredis
 * puts the command that failed into its error, AUTH with the password too. pino's own redaction knows paths alone, and
 * takes a tenth of the time of a request.
 */
const SECRET_FIELDS = [
  'authorization',
  'cookie',
  'set-cookie',
  'password',
  'secret',
  'token',
  'args',
];
const TEXT = '"(?:[^"\\\\]|\\\\.)*"';
const SECRETS = new RegExp(
  `"(${SECRET_FIELDS.join('|')})":(?:${TEXT}|[\\w.+-]+|\\[(?:${TEXT},?)*\\])`,
  'gi',
);

/** The user name and password in a URL, in whatever field or message of a line it stands. */
const URL_CREDENTIALS = /(\b[a-z][a-z0-9+.-]*:\/\/)[^\s/"]*@/gi;

/** Text without the user names and passwords of URLs. */
export function hideCredentials(text: string): string {
  return text.replace(URL_CREDENTIALS, '$1***@');
}

/** A line of the log without the secrets in it. */
export function hideSecrets(line: string): string {
  const hidden = line.replace(SECRETS, '"$1":"[Redacted]"');
  return hidden.includes('@') ? hidden.replace(URL_CREDENTIALS, '$1***@') : hidden;
}
