export type Tls = 'off' | 'verify' | 'no-verify';

const USER = '(?=[^:@/?#]+(:[^@/?#]*)?@|.*[?&]user=[^&])';
const ONE_HOST = '(?=([^@/?#]*@)?[^@/?#:][^@/?#]*/|.*[?&]host=[^&,]+(&|$))';
const AUTHORITY = '([^@/?#]*@)?([^@/?#,:]*|\\[[0-9A-Fa-f:.]+\\])(:\\d{1,5})?';

/** What DATABASE_URL may be. pg would guess user and database, and take several hosts for one. */
export const DATABASE_URL_PATTERN =
  '^pglite:.+$|^postgres(ql)?://(?!.*(\\s|%(?![0-9A-Fa-f]{2})))' +
  `${USER}${ONE_HOST}${AUTHORITY}/[^/?#]+(\\?[^#]*)?$`;

const MODES = { off: 'disable', verify: 'verify-full', 'no-verify': 'no-verify' };

/** What pg takes for verify-full, with a warning on stderr at each start. */
const ALIASES = ['prefer', 'require', 'verify-ca'];

/** The URL with the TLS of the setting; the files of certificates that it names stay. */
export function applyTls(url: string, setting: Tls | undefined): string {
  const [address = '', query = ''] = url.split('?');
  // In a URL of libpq a plus is no space.
  const parameters = new URLSearchParams(query.replaceAll('+', '%2B'));
  const isSocket = /\/\/([^/]*@)?%2f/i.test(address) || parameters.get('host')?.startsWith('/');
  // libpq speaks no TLS on a socket, whatever is asked for.
  const tls = isSocket ? 'off' : setting;
  // The authorities that Node knows, as libpq means it; pg would read a file of this name.
  if (parameters.get('sslrootcert') === 'system') {
    parameters.delete('sslrootcert');
    parameters.set('sslmode', 'verify-full');
  }
  if (tls) {
    for (const name of ['ssl', 'uselibpqcompat']) parameters.delete(name);
    parameters.set('sslmode', MODES[tls]);
  }
  const isAlias = ALIASES.includes(parameters.get('sslmode') ?? '');
  if (isAlias && !parameters.has('uselibpqcompat')) parameters.set('sslmode', 'verify-full');
  return `${address}?${parameters}`;
}
