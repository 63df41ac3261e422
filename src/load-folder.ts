import { fileURLToPath } from 'node:url';
import autoload from '@fastify/autoload';
import type { FastifyInstance } from 'fastify';

/**
 * Loads every plugin or route of a folder. @fastify/autoload passes over a file without a default
 * export in silence, and its route would be a 404 that nobody explains: here it is an error.
 */
export async function loadFolder(
  app: FastifyInstance,
  folder: URL,
  options: object,
  only = '/',
): Promise<void> {
  const files: URL[] = [];
  const matchFilter = (path: string) => {
    if (!path.startsWith(only)) return false;
    files.push(new URL(`.${path}`, folder));
    return !path.startsWith('/env/');
  };
  const dir = fileURLToPath(folder);
  await app.register(autoload, { dir, matchFilter, options, forceESM: true });
  for (const file of files) {
    const module = await import(file.href);
    if (typeof module.default !== 'function')
      throw new Error(
        `${fileURLToPath(file)} exports no plugin: add an "export default", or move it out of ${fileURLToPath(folder)}`,
      );
  }
}
