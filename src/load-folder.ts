import { fileURLToPath } from 'node:url';
import autoload from '@fastify/autoload';
import type { FastifyInstance } from 'fastify';

/**
 * Loads the files of a folder, or only those below the path `only`, such as /health/. A file that
 * has no default export is an error: @fastify/autoload ignores it, so its route would be a 404.
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
    // readConfig has already loaded plugins/env.
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
