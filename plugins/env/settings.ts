import { Type } from 'typebox';
import { isQuoted } from './environment-error.ts';

/** A string, an enum, or an integer from a minimum to a maximum. formats.ts has the formats. */
export interface Setting {
  type?: 'string' | 'integer';
  enum?: (string | number)[];
  minimum?: number;
  maximum?: number;
  minLength?: number;
  default?: unknown;
  description: string;
  /** The valid values, for the error; needed only for a string that may not be any text. */
  expected?: string;
  /** What to do about an error; the default is to set the default value. */
  remedy?: string;
  /** True if no message may show the value. */
  secret?: boolean;
  /** True for a value in any case, which becomes lower case. */
  ignoreCase?: boolean;
  /** The name of a setting that must be greater. */
  below?: string;
  /** The name of a setting that must be set too. */
  requires?: string;
  /** The name of a setting without which this one is not read. */
  onlyWith?: string;
  '~optional'?: boolean;
}

export type Settings = Record<string, Setting>;

/** The settings of the app itself. A plugin exports its own settings in the same form. */
export const settings = Type.Object({
  PORT: Type.Integer({
    minimum: 0,
    maximum: 65535,
    default: 5000,
    description: 'The port to listen on; platforms set it',
  }),
  HOST: Type.String({
    default: '::',
    pattern: '^[A-Za-z0-9:._%-]+$',
    description: 'The address to listen on; `::` is every address of the machine, IPv4 and IPv6',
    expected: 'an IP address or a host name of this machine',
    remedy: 'Leave HOST out to listen on all addresses, or set HOST=localhost',
  }),
  LOG_LEVEL: Type.Enum(['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'], {
    default: 'info',
    description: "The lowest of pino's levels that is logged",
  }),
  TRUST_PROXY: Type.String({
    default: 'loopback,linklocal,uniquelocal',
    format: 'proxies',
    description:
      'The proxies whose X-Forwarded headers count, as in docs/platforms.md: ' +
      'addresses, CIDRs, loopback, linklocal, uniquelocal, cloudflare',
    expected:
      'a comma list of IP addresses, CIDRs, loopback, linklocal, uniquelocal and cloudflare',
    remedy:
      'A number of hops, true or * would let clients forge their address: name the proxies instead',
  }),
  CLIENT_ADDRESS_HEADER: Type.Optional(
    Type.String({
      pattern: '^[\\w-]+$',
      description:
        "The header with only the client's address, " +
        'on platforms of docs/platforms.md that send one',
      expected: 'the name of a header',
      remedy: 'Set CLIENT_ADDRESS_HEADER=X-Real-IP on Railway, or leave it out',
    }),
  ),
  REQUEST_TIMEOUT_MS: Type.Integer({
    minimum: 1,
    maximum: 600_000,
    default: 25_000,
    description: 'A handler that takes longer is answered with 503; in milliseconds',
    remedy: "Stay below the router's own time-out: Heroku's is 30000",
  }),
  KEEP_ALIVE_TIMEOUT_MS: Type.Integer({
    minimum: 1,
    maximum: 86_400_000,
    default: 125_000,
    description:
      'How long an idle connection is kept, longer than the router keeps it; in milliseconds',
    remedy: "Stay above the router's own: Google's load balancers keep 600000, Envoy 3600000",
  }),
  SHUTDOWN_DELAY_MS: Type.Integer({
    minimum: 0,
    maximum: 600_000,
    default: 3_000,
    below: 'SHUTDOWN_TIMEOUT_MS',
    description: 'How long requests are still taken after the signal to stop; in milliseconds',
    remedy:
      'Set SHUTDOWN_DELAY_MS below SHUTDOWN_TIMEOUT_MS; routers need about 3000 to notice the stop',
  }),
  SHUTDOWN_TIMEOUT_MS: Type.Integer({
    minimum: 1,
    maximum: 600_000,
    default: 25_000,
    description: 'The time from the signal to stop to a forced exit; in milliseconds',
    remedy: 'Stay below what the platform grants: Heroku 30000, Cloud Run 10000, Fly 5000',
  }),
  WEB_CONCURRENCY: Type.Integer({
    minimum: 1,
    maximum: 1024,
    default: 1,
    description: 'How many processes serve the port, at most one for each processor',
  }),
});

/** @throws an error that names the setting which has another form than those of this file */
export function checkSettings(properties: Settings): void {
  for (const [name, setting] of Object.entries(properties)) {
    const { type, enum: names, minimum, maximum, description, below, requires, onlyWith } = setting;
    const unknown = [below, requires, onlyWith].find((other) => other && !properties[other]);
    if (unknown) throw new Error(`The setting ${name} names ${unknown}, which is no setting`);
    const isInteger = type === 'integer' && minimum !== undefined && maximum !== undefined;
    const isDescribed = description && !description.includes('\n');
    if (isDescribed && (isInteger || type === 'string' || names)) continue;
    throw new Error(
      `The setting ${name} must have a description, and be a string, an enum, ` +
        'or an integer with a minimum and a maximum. The description is one line: ' +
        'see plugins/env/settings.ts',
    );
  }
}

/** Converts the values to the types of the schema. ajv would also convert 5e3 to an integer. */
export function readValues(environment: NodeJS.ProcessEnv, properties: Settings) {
  // Empty means not set, because some shells and platforms cannot unset a variable.
  const read = (name: string) => environment[name]?.trim() || undefined;
  const values = Object.entries(properties).map(([name, setting]) => {
    const { ignoreCase, onlyWith } = setting;
    const text = onlyWith && !read(onlyWith) ? undefined : read(name);
    const value = ignoreCase ? text?.toLowerCase() : text;
    // Null makes the check fail, because no setting accepts it.
    return [name, value && isQuoted(value) ? null : convert(value, setting)];
  });
  return Object.fromEntries(values);
}

function convert(value: string | undefined, { type, enum: allowed }: Setting): unknown {
  if (type === 'integer' && /^-?\d+$/.test(value ?? '')) return Number(value);
  return allowed?.find((one) => `${one}` === value) ?? value;
}
