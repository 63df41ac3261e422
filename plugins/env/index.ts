import fastifyEnv from '@fastify/env';
import { Ajv, type ErrorObject, type SchemaValidateFunction } from 'ajv';
import fp from 'fastify-plugin';
import { type Static, Type } from 'typebox';
import { importFile } from '../../src/import-file.ts';
import { listFiles } from '../../src/list-files.ts';
import { succeeds } from '../../src/succeeds.ts';
import { EnvironmentError } from './environment-error.ts';
import { formats } from './formats.ts';
import { checkSettings, readValues, type Settings, settings } from './settings.ts';

const PLUGINS = new URL('..', import.meta.url);

/** The type of `app.config`. A plugin adds its own settings by declaration merging. */
export interface Config extends Static<typeof settings> {}

declare module 'fastify' {
  interface FastifyInstance {
    config: Readonly<Config>;
  }
}

export interface EnvironmentOptions {
  environment?: NodeJS.ProcessEnv;
  /** Folders whose files may export `settings`. */
  folders?: URL[];
}

/** Adds the checked environment as `app.config`, or throws an EnvironmentError. */
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
      if (!errors) throw nameSetting(properties, error as Error);
      throw new EnvironmentError(errors, environment, properties);
    }
    Object.freeze(app.config);
  },
  { name: 'env' },
);

/** The settings of settings.ts, then those of the files in these folders. */
export async function gatherSettings(folders: URL[]): Promise<Settings> {
  const files = folders.flatMap(listFiles);
  const modules = await Promise.all(files.map((file) => importFile(file)));
  const all: Settings = {};
  for (const module of [{ settings }, ...modules]) addSettings(all, module.settings?.properties);
  checkSettings(all);
  return all;
}

/** Not the environment, but the schema of a setting is wrong. */
function nameSetting(properties: Settings, cause: Error): Error {
  const compiles = (name: string) =>
    succeeds(() => createSettingsAjv().compile({ properties: { [name]: properties[name] } }));
  const wrong = Object.keys(properties).find((name) => !compiles(name));
  return new Error(`The setting ${wrong} cannot be checked: ${cause.message}`, { cause });
}

function addSettings(all: Settings, more: Settings = {}): void {
  for (const [name, setting] of Object.entries(more)) {
    if ((all[name] ?? setting) !== setting)
      throw new Error(`Two files declare the setting ${name}: rename one`);
    all[name] = setting;
  }
}

/** Checking the schema itself, or optimizing code that runs once, takes a tenth of the start. */
function createSettingsAjv(): Ajv {
  return new Ajv({
    allErrors: true,
    useDefaults: true,
    validateSchema: false,
    code: { optimize: false },
    formats,
    keywords: [
      'expected',
      'ignoreCase',
      'onlyWith',
      'remedy',
      'secret',
      { keyword: 'below', validate: isBelow },
      { keyword: 'requires', validate: isOtherSet, errors: true },
    ],
  });
}

/** If the other setting is not a number, it has its own error. */
const isBelow: SchemaValidateFunction = (other: string, value: number, _schema, context) => {
  const limit: unknown = context?.parentData[other];
  return typeof limit !== 'number' || value < limit;
};

const isOtherSet: SchemaValidateFunction = (other: string, _value, _schema, context) => {
  const requiredBy = context?.parentDataProperty;
  isOtherSet.errors = [{ params: { missingProperty: other, requiredBy } }];
  return context?.parentData[other] !== undefined;
};
