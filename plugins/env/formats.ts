import { trustProxies } from '../../src/client-address.ts';
import { isHeader } from '../../src/node-http.ts';
import { succeeds } from '../../src/succeeds.ts';

const PAIR = ' *[^\\s=,;]+ *=( *([^\\s,;%]|%[0-9A-Fa-f]{2}))+ *';
const PAIRS = new RegExp(`^${PAIR}(,${PAIR})*$`, 'u');

export const formats = {
  uri: isUri,
  // A Unix socket is in the query, and the URL has no host.
  database: (text: string) => isUri(text.replace('@/', '@host/')),
  origins: (list: string) => list === '*' || list.split(',').every((url) => URL.canParse(url)),
  proxies: (list: string) => succeeds(() => trustProxies(list)),
  pairs: isPairs,
  headers: (list: string) => isPairs(list) && list.split(',').every(isHeaderPair),
};

/** Drivers decode a URL. A folder in a URL without slashes, such as `pglite:`, is not decoded. */
function isUri(url: string): boolean {
  return URL.canParse(url) && (!url.includes('://') || succeeds(() => decodeURIComponent(url)));
}

/** A comma list of `name=value`. OpenTelemetry would ignore any other entry without an error. */
function isPairs(list: string): boolean {
  return PAIRS.test(list) && succeeds(() => decodeURIComponent(list));
}

function isHeaderPair(pair: string): boolean {
  const [name = '', value] = pair.split(/=(.*)/s).map((part) => decodeURIComponent(part.trim()));
  return isHeader(name, value);
}
