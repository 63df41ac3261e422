const NAMES =
  'passw(?:or)?d|passphrase|passcode|pwd|secret|token|credential|session|signature|csrf|xsrf|jwt|' +
  '(?:api|access|account|master|private|signing|encryption)[-_]?key';

/** Keys whose values are never logged, at any depth. `args` is a command of Redis. */
const SECRET_KEY = new RegExp(
  `auth(?!ors?$)|cookie|${NAMES}|` +
    'pass$|^(?:args|detail|where|parameters|rawHeaders|rawPacket|body|payload)$',
  'i',
);

/** The headers that may be logged. All others may be credentials. */
const SAFE_HEADERS = ['accept', 'content-length', 'content-type', 'host', 'user-agent'];

/** In lower case, each text with a secret that can be recognized contains one of these. */
const SUSPICIOUS = new RegExp(
  'auth|cookie|pass|pwd|secret|token|key|credential|session|signature|csrf|xsrf|jwt|eyj|args|' +
    'detail|where|param|header|packet|body|payload|buffer|bearer|basic|invalid input|' +
    'invalid value|malformed|out of range|recognized|syntax error|://|\\?',
);

/** JSON within JSON has backslashes before its quotes. */
const QUOTED = `\\\\+"[^"]*"|"(?:[^"\\\\]|\\\\.)*"|'[^']*'`;

/** What may follow in a name, as in secret_key and passwordConfirmation. */
const SUFFIX = '(?:[-_]?(?:key(?:[-_]?base)?|value|hash|confirm(?:ation)?|pem|json))?';

const IS = `\\\\{0,7}["']?\\s{0,4}(?:[=:](?!>)|=>(?=\\s{0,4}["']))\\s{0,4}`;

/** A value without quotes. Of a list or an object, all up to its closing bracket is hidden. */
const UNQUOTED = `[[{][^\\]}\\r\\n]*[^\\s"',;&]*|[^\\s"',;&]+`;

/** `password = …`, `"client_secret":"…"`, and the whole line of `Authorization: …`. */
const NAMED_SECRET = new RegExp(
  `((?:authorization|cookie)${IS})(?:${QUOTED}|[^\\r\\n]+)|` +
    `((?:pass|${NAMES})s?${SUFFIX}(?:s|[-_]?id)?${IS})(?:${QUOTED}|${UNQUOTED})`,
  'gi',
);

/** Credentials without names, and values in errors, but not what migrate.ts adds behind them. */
const UNNAMED_SECRET = new RegExp(
  [
    '\\b((?:bearer|basic):?[ \\t])[\\w.~+/=-]{16,}',
    '(?<![\\w-])(eyJ)[\\w-]+\\.[\\w.-]+',
    '(BEGIN [A-Z ]{0,20}PRIVATE KEY-----)[^]*?(?=-----END|$)',
    '(args beginning with: |invalid (?:input |value for parameter ")[^:\\n]{1,80}: |' +
      'malformed \\w{1,20} literal: |syntax error in ts\\w{1,20}: |unrecognized encoding: |' +
      'out of range: )(?:"[^]*?(?=\n {4}at |$)|(?!\\*\\*\\*; (?:it ran|applied|the schema) ).+)',
    '(\\b(?:value|time zone|unit) )"[^"\\n]*"(?= (?:is out of range|not recognized))',
    '(\\nparams: )[^]*?(?=\n {4}at |$)',
  ].join('|'),
  'gi',
);

/** The longest text that is logged, in characters. Longer ones are cut. */
const MAX_TEXT = 8_192;

const MAX_VALUES = 500;

const CUT = '…';

/** A request's usual line, as logger.ts writes it. It has no secret, and searching it is slow. */
const REQUEST_LINE = new RegExp(
  '^{"level":30,"time":\\d+,"name":"[^"]+","pid":\\d+,"requestId":"[\\w-]+","method":"[A-Z]+",' +
    '"path":"[\\w/-]+","status":\\d+,"durationMs":[\\d.]+,"address":"[\\da-f.:]*",' +
    '"msg":"request"}\\n$',
);

/** Removes the secrets from a line of the log, in time that is linear in its length. */
export function hideSecretsInLine(line: string): string {
  if (REQUEST_LINE.test(line)) return line;
  if (line.length <= MAX_TEXT && !isSuspicious(line)) return line;
  const fields = Object.entries(JSON.parse(line));
  const hidden = fields.map(([key, value]) => [key, hideByKey(key, value, { left: MAX_VALUES })]);
  return `${JSON.stringify(Object.fromEntries(hidden))}\n`;
}

/** Removes credentials and queries of URLs, and named secrets, from a text. */
export function hideSecrets(text: string): string {
  const bounded = shorten(text);
  if (!isSuspicious(bounded)) return bounded;
  return bounded
    .replace(/[^\s"]+/g, hideInWord)
    .replace(NAMED_SECRET, '$1$2***')
    .replace(UNNAMED_SECRET, '$1$2$3$4$5$6***');
}

function isSuspicious(text: string): boolean {
  return SUSPICIOUS.test(text.toLowerCase());
}

/** Cuts to MAX_TEXT characters. Half of a surrogate pair is replaced: to escape it is slow. */
export function shorten(text: string): string {
  const isLong = text.length > MAX_TEXT;
  return (isLong ? text.slice(0, MAX_TEXT) + CUT : text).toWellFormed();
}

function hideByKey(key: string, value: unknown, values: { left: number }): unknown {
  if (SECRET_KEY.test(key)) return '[Redacted]';
  const isHeaders = key === 'headers' && typeof value === 'object' && value !== null;
  return hideInValue(isHeaders ? pickHeaders(value) : value, values);
}

function hideInValue(value: unknown, values: { left: number }): unknown {
  if (typeof value === 'string') return hideSecrets(value);
  if (typeof value !== 'object' || value === null) return value;
  if (Reflect.get(value, 'type') === 'Buffer') return '[Buffer]';
  const limit = values.left + 1;
  const items = Object.entries(Array.isArray(value) ? value.slice(0, limit) : value);
  const hidden = items.slice(0, limit).map(([key, item]): [string, unknown] => {
    if (values.left === 0) return [key, CUT];
    values.left--;
    return [key, hideByKey(key, item, values)];
  });
  return Array.isArray(value) ? hidden.map(([, item]) => item) : Object.fromEntries(hidden);
}

function pickHeaders(headers: object): object {
  return Object.fromEntries(
    Object.entries(headers).filter(([name]) => SAFE_HEADERS.includes(name.toLowerCase())),
  );
}

/** A password may contain any character, so it ends only at the last @. */
function hideInWord(word: string): string {
  const at = word.lastIndexOf('@');
  const start = word.slice(0, at + 1).search(/:\/\/[^/]*[:@]/);
  const hidden = start === -1 ? word : `${word.slice(0, start)}://***${word.slice(at)}`;
  const query = hidden.indexOf('?');
  const isUrl = query > 0 && hidden.lastIndexOf('/', query) !== -1 && hidden.includes('=', query);
  return isUrl ? `${hidden.slice(0, query)}?***` : hidden;
}
