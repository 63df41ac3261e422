export type Tls = 'off' | 'verify' | 'no-verify';

const USER = '(?=[^:@/?#]+(:[^@/?#]*)?@|.*[?&]user=[^&])';
const ONE_HOST = '(?=([^@/?#]*@)?[^@/?#:][^@/?#]*/|.*[?&]host=[^&,]+(&|$))';
const AUTHORITY = '([^@/?#]*@)?([^@/?#,:]*|\\[[0-9A-Fa-f:.]+\\])(:\\d{1,5})?';

/**
 * What DATABASE_URL may be. pg would take the operating system's user and database where the URL
 * names none, and the list of several hosts for the name of one.
 */
export const DATABASE_URL_PATTERN =
  '^pglite:.+$|^postgres(ql)?://(?!.*(\\s|%(?![0-9A-Fa-f]{2})))' +
  `${USER}${ONE_HOST}${AUTHORITY}/[^/?#]+(\\?[^#]*)?$`;

const MODES = { off: 'disable', verify: 'verify-full', 'no-verify': 'no-verify' };

/** The URL with the TLS of the setting; the files of certificates that it names stay. */
export function applyTls(url: string, tls: Tls | undefined): string {
  const [address, query] = url.split('?');
  const parameters = new URLSearchParams(query);
  // The authorities that Node knows, as libpq means it; pg would read a file of this name.
  if (parameters.get('sslrootcert') === 'system') {
    parameters.delete('sslrootcert');
    parameters.set('sslmode', 'verify-full');
  }
  if (tls) {
    for (const name of ['ssl', 'uselibpqcompat']) parameters.delete(name);
    parameters.set('sslmode', MODES[tls]);
  }
  return `${address}?${parameters}`;
}
