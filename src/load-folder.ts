import { fileURLToPath } from 'node:url';
import autoload from '@fastify/autoload';
import type { FastifyInstance } from 'fastify';

/**
 * Loads what is in a folder, or in `only` a path of it, such as /health/. @fastify/autoload passes
 * over a file without a default export, whose route would be a 404: here it is an error.
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
    if (typeof module.default === 'function') continue;
    const remedy = `add an "export default", or move it out of ${dir}`;
    throw new Error(`${fileURLToPath(file)} exports no plugin: ${remedy}`);
  }
}
