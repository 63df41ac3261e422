import { existsSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import fastifyEnv from '@fastify/env';
import { Ajv, type ErrorObject, type SchemaValidateFunction } from 'ajv';
import fp from 'fastify-plugin';
import { type Static, type TProperties, Type } from 'typebox';
import { trustProxies } from '../../src/client-address.ts';
import { EnvironmentError, isQuoted } from './environment-error.ts';
import { settings } from './settings.ts';

const PLUGINS = new URL('..', import.meta.url);

/** The type of `app.config`; a plugin with settings of its own merges theirs into it. */
export interface Config extends Static<typeof settings> {}

declare module 'fastify' {
  interface FastifyInstance {
    config: Readonly<Config>;
  }
}

export interface EnvironmentOptions {
  /** The process's own by default. */
  environment?: NodeJS.ProcessEnv;
  /** Folders whose files may export `settings`. */
  folders?: URL[];
}

/** Decorates the app with the checked environment; throws an EnvironmentError with all problems. */
export default fp(
  async (app, { environment = process.env, folders = [PLUGINS] }: EnvironmentOptions) => {
    const properties = await gatherSettings(folders);
    try {
      await app.register(fastifyEnv, {
        schema: Type.Object(properties),
        data: readValues(environment, properties),
        env: false,
        ajv: createSettingsAjv(),
      });
    } catch (error) {
      const { errors } = error as { errors?: ErrorObject[] };
      // A setting's own schema is wrong.
      if (!errors) throw error;
      throw new EnvironmentError(errors, environment, properties);
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
    .filter((name) => /^[^./][^/]*(\/index)?(?<!\.d)\.[jt]s$/.test(name))
    .map((name) => new URL(name, folder));
}

/** The values as the schema's types. Only decimal digits are an integer: ajv also takes 5e3. */
function readValues(environment: NodeJS.ProcessEnv, properties: TProperties) {
  const values = Object.entries(properties).map(([name, schema]) => {
    // A shell cannot always unset a variable.
    const value = environment[name]?.trim() || undefined;
    // No setting accepts null.
    if (value && isQuoted(value)) return [name, null];
    const isInteger = 'type' in schema && schema.type === 'integer';
    return [name, isInteger && /^-?\d+$/.test(value ?? '') ? Number(value) : value];
  });
  return Object.fromEntries(values);
}

/**
 * Without coercion. It checks once: to check the schema itself, or to optimize the code that does
 * it, would take a tenth of the start.
 */
function createSettingsAjv(): Ajv {
  return new Ajv({
    allErrors: true,
    useDefaults: true,
    validateSchema: false,
    code: { optimize: false },
    formats: { uri: URL.canParse, proxies: isProxyList },
    keywords: [
      'expected',
      'remedy',
      'secret',
      { keyword: 'below', validate: isBelow },
      { keyword: 'requires', validate: isOtherSet, errors: true },
    ],
  });
}

function isProxyList(list: string): boolean {
  try {
    return Boolean(trustProxies(list));
  } catch {
    return false;
  }
}

/** `below` names another setting, which has to be greater; what is no number has its own error. */
const isBelow: SchemaValidateFunction = (other: string, value: number, _schema, context) => {
  const limit: unknown = context?.parentData[other];
  return typeof limit !== 'number' || value < limit;
};

/** `requires` names another setting, which has to be set too: the error is that one's. */
const isOtherSet: SchemaValidateFunction = (other: string, _value, _schema, context) => {
  isOtherSet.errors = [{ params: { missingProperty: other } }];
  return context?.parentData[other] !== undefined;
};
