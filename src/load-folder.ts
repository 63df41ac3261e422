import { fileURLToPath } from 'node:url';
import autoload from '@fastify/autoload';
import type { FastifyInstance } from 'fastify';

/**
 * Loads every plugin or route of a folder. @fastify/autoload passes over a file without a default
 * export in silence, and its route would be a 404 that nobody explains: here it is an error.
 *
 * @param only the path in the folder that is loaded, such as /health/; all of it by default
 */
export async function loadFolder(
  app: FastifyInstance,
  folder: URL,
  options: object,
  only = '/',
): Promise<void> {
  const dir = fileURLToPath(folder);
  const files: URL[] = [];
  const matchFilter = (path: string) => {
    // plugins/env has been read before there was an app.
    const isLoaded = path.startsWith(only) && !path.startsWith('/env/');
    if (isLoaded) files.push(new URL(`.${path}`, folder));
    return isLoaded;
  };
  await app.register(autoload, { dir, matchFilter, options, forceESM: true });
  for (const file of files) {
    const module = await import(file.href);
    if (typeof module.default !== 'function')
      throw new Error(
        `${fileURLToPath(file)} exports no plugin: add an "export default", or move it out of ${dir}`,
      );
  }
}
