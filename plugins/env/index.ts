import { existsSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { isIP } from 'node:net';
import fastifyEnv from '@fastify/env';
import { Ajv, type AnySchemaObject, type ErrorObject } from 'ajv';
import type { DataValidationCxt } from 'ajv/dist/types/index.js';
import addFormats from 'ajv-formats';
import fp from 'fastify-plugin';
import { type Static, type TProperties, type TSchema, Type } from 'typebox';
import { RANGES } from '../../src/trusted-proxies.ts';
import { EnvironmentError } from './environment-error.ts';

/**
 * Settings that belong to no capability. A plugin with settings of its own exports them in the same form:
 * `expected` completes "must be …", `remedy` says what to do, `secret` keeps the value out of every message,
 * `below` names a setting that has to be greater.
 */
export const settings = Type.Object({
  PORT: Type.Integer({
    minimum: 0,
    maximum: 65535,
    default: 5000,
    description: 'The port to listen on; platforms set it',
    expected: 'an integer from 0 to 65535',
    remedy: 'Set PORT=5000, or leave it out',
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
    description: "The least severe of pino's levels that is logged",
    expected: 'fatal, error, warn, info, debug, trace or silent',
    remedy: 'Set LOG_LEVEL=info, or leave it out',
  }),
  TRUST_PROXY: Type.String({
    default: 'loopback,linklocal,uniquelocal',
    format: 'proxies',
    description:
      'The proxies whose X-Forwarded headers count: addresses, CIDRs, loopback, linklocal, uniquelocal, cloudflare',
    expected:
      'a comma list of IP addresses, CIDRs, loopback, linklocal, uniquelocal and cloudflare',
    remedy:
      'A number of hops, true or * would let clients forge their address: name the proxies instead',
  }),
  REQUEST_TIMEOUT_MS: Type.Integer({
    minimum: 1,
    maximum: 600_000,
    default: 25_000,
    description: 'A handler that is later than this answers 503; in milliseconds',
    expected: 'an integer from 1 to 600000 (milliseconds)',
    remedy: "Stay below the router's own time-out: Heroku's is 30000",
  }),
  KEEP_ALIVE_TIMEOUT_MS: Type.Integer({
    minimum: 1,
    maximum: 86_400_000,
    default: 125_000,
    description:
      'How long an idle connection is kept, longer than the router does; in milliseconds',
    expected: 'an integer from 1 to 86400000 (milliseconds)',
    remedy: "Stay above the router's own: Google's load balancers keep 600000, Envoy 3600000",
  }),
  SHUTDOWN_DELAY_MS: Type.Integer({
    minimum: 0,
    maximum: 600_000,
    default: 3_000,
    below: 'SHUTDOWN_TIMEOUT_MS',
    description: 'How long requests are still taken after the signal to stop; in milliseconds',
    expected: 'an integer from 0 to 600000 (milliseconds), less than SHUTDOWN_TIMEOUT_MS',
    remedy:
      'Routers need a few seconds to notice that the process is stopping: set SHUTDOWN_DELAY_MS=3000',
  }),
  SHUTDOWN_TIMEOUT_MS: Type.Integer({
    minimum: 1,
    maximum: 600_000,
    default: 25_000,
    description: 'From the signal to stop to a forced exit; in milliseconds',
    expected: 'an integer from 1 to 600000 (milliseconds)',
    remedy:
      'Stay below what the platform grants before SIGKILL: Heroku 30000, Cloud Run 10000, Fly 5000',
  }),
  WEB_CONCURRENCY: Type.Integer({
    minimum: 1,
    maximum: 1024,
    default: 1,
    description: 'How many processes serve the port, at most one for each processor',
    expected: 'an integer of at least 1',
    remedy: 'Set WEB_CONCURRENCY=1, or leave it out',
  }),
});

/** The type of `app.config`; a plugin with settings of its own merges theirs into it. */
export interface Config extends Static<typeof settings> {}

declare module 'fastify' {
  interface FastifyInstance {
    config: Readonly<Config>;
  }
}

export interface EnvironmentOptions {
  /** What to validate; the process's own environment unless a test says otherwise. */
  environment?: NodeJS.ProcessEnv;
  /** Folders whose files may export `settings`. */
  folders?: URL[];
}

/**
 * Validates the environment with the settings of all plugins and decorates the app with `config`, typed and frozen.
 *
 * @throws {EnvironmentError} with all problems at once
 */
export default fp(
  async (
    app,
    { environment = process.env, folders = [new URL('..', import.meta.url)] }: EnvironmentOptions,
  ) => {
    const properties = await gatherSettings(folders);
    try {
      await app.register(fastifyEnv, {
        schema: Type.Object(properties),
        data: readValues(environment, properties),
        env: false,
        ajv: createAjv(),
      });
    } catch (error) {
      throw new EnvironmentError(
        (error as { errors: ErrorObject[] }).errors,
        environment,
        properties,
      );
    }
    Object.freeze(app.config);
  },
  { name: 'env' },
);

/** All settings of the files in these folders, this one's first. */
export async function gatherSettings(folders: URL[]): Promise<TProperties> {
  const files = await Promise.all(folders.map(listFiles));
  const modules = await Promise.all(files.flat().map((file) => import(file.href)));
  return Object.assign(
    { ...settings.properties },
    ...modules.map((module) => module.settings?.properties),
  );
}

/** A plugin is a file of the folder, or the index of a folder in it; so is a job. */
export async function listFiles(folder: URL): Promise<URL[]> {
  // Git keeps no empty folder: an app whose last job was removed has none.
  const names = existsSync(folder) ? await readdir(folder, { recursive: true }) : [];
  const files = names.map((name) => name.replaceAll('\\', '/'));
  return files
    .filter((name) => /^[^/]+(\/index)?(?<!\.d)\.[jt]s$/.test(name))
    .map((name) => new URL(name, folder));
}

/**
 * The values as the schema's types. An empty string is an unset variable (a shell cannot always unset one), and only
 * decimal digits are an integer: ajv's own coercion would take 0x1388 and 5e3 too.
 */
function readValues(
  environment: NodeJS.ProcessEnv,
  properties: TProperties,
): Record<string, string | number> {
  const entries = Object.keys(properties).flatMap((name) => {
    const value = environment[name]?.trim();
    if (!value) return [];
    return [[name, isInteger(properties[name]) && /^-?\d+$/.test(value) ? Number(value) : value]];
  });
  return Object.fromEntries(entries);
}

function isInteger(schema?: TSchema): boolean {
  return schema !== undefined && 'type' in schema && schema.type === 'integer';
}

/** With the options of @fastify/env's own, but that it coerces nothing and spares each start the check of our schema. */
function createAjv(): Ajv {
  const options = {
    allErrors: true,
    removeAdditional: true,
    useDefaults: true,
    allowUnionTypes: true,
  };
  const ajv = new Ajv({ ...options, meta: false, validateSchema: false });
  addFormats.default(ajv, ['uri']);
  const isUri = ajv.formats.uri as (text: string) => boolean;
  ajv.addFormat('uri', (text: string) => isUri(text) && URL.canParse(text));
  ajv.addFormat('proxies', (list: string) => list.split(',').every((item) => isProxy(item.trim())));
  ajv.addVocabulary(['expected', 'remedy', 'secret']);
  ajv.addKeyword({
    keyword: 'below',
    validate: (
      other: string,
      value: number,
      _schema?: AnySchemaObject,
      context?: DataValidationCxt,
    ) => !(value >= Number(context?.parentData[other])),
  });
  return ajv;
}

function isProxy(text: string): boolean {
  const [address = '', bits, ...rest] = text.split('/');
  if (Object.hasOwn(RANGES, text)) return true;
  const family = isIP(address);
  return (
    family !== 0 &&
    rest.length === 0 &&
    (bits === undefined || isPrefixLength(bits, family === 4 ? 32 : 128))
  );
}

/** A prefix of no bits would trust everybody. */
function isPrefixLength(bits: string, most: number): boolean {
  return /^[1-9]\d*$/.test(bits) && Number(bits) <= most;
}
