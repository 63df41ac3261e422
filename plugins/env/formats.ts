import { trustProxies } from '../../src/client-address.ts';
import { http } from '../../src/node-http.ts';

/** The formats of settings, for ajv. */
export const formats = {
  uri: (text: string) => URL.canParse(text) && canDecode(text),
  encoded: canDecode,
  origins: (list: string) => list === '*' || list.split(',').every((url) => URL.canParse(url)),
  proxies: (list: string) => succeeds(() => trustProxies(list)),
  /** A list of name=value, percent-encoded. */
  pairs: (list: string) => succeeds(() => decodeURIComponent(list)),
  /** Pairs that are headers of HTTP. */
  headers: (list: string) => list.split(',').every((pair) => succeeds(() => checkHeader(pair))),
};

/** Drivers decode a URL. A folder in a URL without slashes, such as `pglite:`, is not decoded. */
function canDecode(url: string): boolean {
  return !url.includes('://') || succeeds(() => decodeURIComponent(url));
}

function succeeds(check: () => unknown): boolean {
  try {
    check();
    return true;
  } catch {
    return false;
  }
}

function checkHeader(pair: string): void {
  const [name = '', value = ''] = pair
    .split(/=(.*)/s)
    .map((part) => decodeURIComponent(part.trim()));
  http.validateHeaderName(name);
  http.validateHeaderValue(name, value);
}
