export type Tls = 'off' | 'verify' | 'no-verify';

const QUERY = '[^?]*\\?(.*&)?';
const USER = `(?=[^:@/?#]+(:[^@/?#]*)?@|${QUERY}user=[^&])`;
const ONE_HOST = `(?=([^@/?#]*@)?[^@/?#:][^@/?#]*/|${QUERY}host=[^&,]+(&|$))`;
const AUTHORITY = '([^@/?#]*@)?([^@/?#,:]*|\\[[0-9A-Fa-f:.]+\\])(:\\d{1,5})?';

/** A URL of a server. pg would guess a missing user or database, and read two hosts as one. */
export const POSTGRES_PATTERN =
  `^postgres(ql)?://(?!.*\\s|${QUERY}host=(.*&host=|[^&]*(,|%2[Cc])))` +
  `${USER}${ONE_HOST}${AUTHORITY}/[^/?#]+(\\?[^#]*)?$`;

const MODES = { off: 'disable', verify: 'verify-full', 'no-verify': 'no-verify' };

/** Percent-encoded characters that pg leaves so in a database's name, except for ? and #. */
const RESERVED = /%(?:2[46bcf]|3[abd]|40)/gi;

/** Values of sslmode, or of ssl alone, for which pg checks the certificate and prints a warning. */
const ALIASES = ['prefer', 'require', 'verify-ca', 'true', '1'];

const FILES = ['sslrootcert', 'sslcert', 'sslkey'];

/** Returns the URL with the TLS mode of the setting. The certificate files that TLS needs stay. */
export function applyTls(url: string, setting: Tls | undefined): string {
  const [address = '', ...query] = url.split('?');
  // In a libpq URL a plus is not a space. Of two parameters with one name, pg reads the last.
  const last = new Map(new URLSearchParams(query.join('?').replaceAll('+', '%2B')));
  const parameters = new URLSearchParams([...last]);
  const host = parameters.get('host') || address.replace(/^[^/]*\/\/([^/]*@)?/, '');
  const isSocket = /^(\/|%2f)/i.test(host);
  // libpq never uses TLS on a Unix socket, whatever the setting is.
  const tls = isSocket ? 'off' : setting;
  // `system` means the authorities that Node knows, as in libpq. pg would read a file of this name.
  if (parameters.get('sslrootcert') === 'system') {
    parameters.delete('sslrootcert');
    parameters.set('sslmode', 'verify-full');
  }
  if (tls) {
    for (const name of ['ssl', 'uselibpqcompat']) parameters.delete(name);
    parameters.set('sslmode', MODES[tls]);
  }
  const ssl = parameters.get('ssl') ?? '';
  const mode = parameters.get('sslmode') || ssl;
  const isAlias = ALIASES.includes(mode);
  if (isAlias && !parameters.has('uselibpqcompat')) parameters.set('sslmode', 'verify-full');
  // pg would read these texts as true.
  if (mode === ssl && /^(false|no|off)$/i.test(ssl)) parameters.set('sslmode', 'disable');
  // pg would read them, and one that is missing would keep the app from starting.
  if (parameters.get('sslmode') === 'disable') for (const file of FILES) parameters.delete(file);
  const name = address.slice(address.lastIndexOf('/'));
  const decoded = name.replace(RESERVED, (encoded) => decodeURIComponent(encoded));
  return `${address.slice(0, -name.length)}${decoded}?${parameters}`;
}
