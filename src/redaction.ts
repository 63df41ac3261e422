/** What the names of secrets have in them, in a key as in a text. */
const NAMES =
  'passw(?:or)?d|passphrase|passcode|pwd|secret|token|credential|session|signature|csrf|xsrf|jwt|' +
  '(?:api|access|private|signing|encryption)[-_]?key';

/** Keys whose values never reach the log, however deep they are: `args` is a command of Redis. */
const SECRET_KEY = new RegExp(
  `auth(?!ors?$)|cookie|${NAMES}|` +
    'pass$|^(?:args|detail|where|parameters|rawHeaders|rawPacket|body|payload)$',
  'i',
);

/** The headers that may be logged; all others may be credentials. */
const SAFE_HEADERS = ['accept', 'content-length', 'content-type', 'host', 'user-agent'];

/** In small letters: a text without any of this has no secret that could be recognized. */
const SUSPICIOUS = new RegExp(
  'auth|cookie|pass|pwd|secret|token|key|credential|session|signature|csrf|xsrf|jwt|eyj|args|' +
    'detail|where|param|header|packet|body|payload|buffer|bearer|basic|invalid input|' +
    'out of range|://|\\?',
);

/** JSON that stands in a JSON text has a backslash before its quotes. */
const QUOTED = `\\\\"[^"]*"|"(?:[^"\\\\]|\\\\.)*"|'[^']*'`;

/**
 * `password=…`, `"client_secret":"…"` in a text, and the whole line of `Authorization: …`, whose
 * schemes are many.
 */
const NAMED_SECRET = new RegExp(
  `((?:authorization|cookie)\\\\?["']?[=:] ?)(?:${QUOTED}|[^\\r\\n]+)|` +
    `((?:pass|${NAMES})(?:s|[-_]?id)?\\\\?["']?[=:] ?)(?:${QUOTED}|[^\\s"',;&]+)`,
  'gi',
);

/** Credentials without a name before them, and values that Redis and PostgreSQL repeat. */
const UNNAMED_SECRET = new RegExp(
  [
    '\\b((?:bearer|basic):?[ \\t])[\\w.~+/=-]{16,}',
    '(?<![\\w-])(eyJ)[\\w-]+\\.[\\w.-]+',
    '(BEGIN [A-Z ]{0,20}PRIVATE KEY-----)[^]*?(?=-----END|$)',
    '(args beginning with: |invalid input [\\w ]{1,60}: |out of range: ).+',
  ].join('|'),
  'gi',
);

/** The most of one text that is logged, in characters. */
const MAX_TEXT = 8_192;

/** How many values within one field of a line are logged: each has to be searched. */
const MAX_VALUES = 500;

/** Stands for the values that are too many. */
const CUT = '…';

/**
 * The line of a request of which every field is known: it has no secret, and to search it would be
 * a tenth of what the request costs.
 */
const REQUEST_LINE = new RegExp(
  '^{"level":30,"time":\\d+,"name":"[^"]+","pid":\\d+,"requestId":"[\\w-]+","method":"[A-Z]+",' +
    '"path":"[\\w/-]+","status":\\d+,"durationMs":[\\d.]+,"address":"[\\da-f.:]*",' +
    '"msg":"request"}\\n$',
);

/** A line of the log without the secrets in it. Each step is linear in its length. */
export function hideSecretsInLine(line: string): string {
  if (REQUEST_LINE.test(line)) return line;
  if (line.length <= MAX_TEXT && !isSuspicious(line)) return line;
  const fields = Object.entries(JSON.parse(line));
  const hidden = fields.map(([key, value]) => [key, hideByKey(key, value, { left: MAX_VALUES })]);
  return `${JSON.stringify(Object.fromEntries(hidden))}\n`;
}

/** Text without the credentials and queries of URLs, and without secrets that it names. */
export function hideSecrets(text: string): string {
  const bounded = shorten(text);
  if (!isSuspicious(bounded)) return bounded;
  return bounded
    .replace(/[^\s"]+/g, hideInWord)
    .replace(NAMED_SECRET, '$1$2***')
    .replace(UNNAMED_SECRET, '$1$2$3$4***');
}

function isSuspicious(text: string): boolean {
  return SUSPICIOUS.test(text.toLowerCase());
}

/** As much of a text as is logged. Half of a surrogate pair would be an escape that costs time. */
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
  const most = values.left + 1;
  const items = Object.entries(Array.isArray(value) ? value.slice(0, most) : value);
  const hidden = items.slice(0, most).map(([key, item]): [string, unknown] => {
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

/** A password may have any character in it: all up to the last @ belongs to it. */
function hideInWord(word: string): string {
  const scheme = word.indexOf('://');
  const at = word.lastIndexOf('@');
  const start = scheme + '://'.length;
  const [authority = ''] = scheme === -1 ? [] : word.slice(start, at + 1).split('/', 1);
  const hidden = /[:@]/.test(authority) ? `${word.slice(0, start)}***${word.slice(at)}` : word;
  const query = hidden.indexOf('?');
  const isUrl = query > 0 && hidden.lastIndexOf('/', query) !== -1 && hidden.includes('=', query);
  return isUrl ? `${hidden.slice(0, query)}?***` : hidden;
}
