import { existsSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import fastifyEnv from '@fastify/env';
import type { ErrorObject } from 'ajv';
import fp from 'fastify-plugin';
import { type Static, type TProperties, Type } from 'typebox';
import { createAjv } from './ajv.ts';
import { EnvironmentError, isQuoted } from './environment-error.ts';
import { settings } from './settings.ts';

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
      const { errors } = error as { errors: ErrorObject[] };
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
    .filter((name) => /^[^/]+(\/index)?(?<!\.d)\.[jt]s$/.test(name))
    .map((name) => new URL(name, folder));
}

/**
 * The values as the schema's types. An empty string is an unset variable (a shell cannot always
 * unset one). Only decimal digits are an integer: ajv would also take 0x1388 and 5e3. A quoted
 * value is null, which no setting accepts.
 */
function readValues(environment: NodeJS.ProcessEnv, properties: TProperties) {
  const values = Object.entries(properties).map(([name, schema]) => {
    const value = environment[name]?.trim() || undefined;
    if (value && isQuoted(value)) return [name, null];
    const isInteger = 'type' in schema && schema.type === 'integer';
    return [name, isInteger && /^-?\d+$/.test(value ?? '') ? Number(value) : value];
  });
  return Object.fromEntries(values);
}
