import path from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
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
  const files: string[] = [];
  const matchFilter = (name: string) => {
    // Such a folder in routes/ would be a part of the URL, and the router finds no such path.
    if (/[#?]/.test(path.dirname(name)))
      throw new Error(`${path.join(dir, name)} has no URL: rename its folder, without # and ?`);
    // readConfig has already loaded plugins/env.
    const isLoaded = name.startsWith(only) && !name.startsWith('/env/');
    if (isLoaded) files.push(path.join(dir, name));
    return isLoaded;
  };
  await app.register(autoload, { dir, matchFilter, options, forceESM: true });
  for (const file of files) {
    const module = await import(pathToFileURL(file).href);
    if (typeof module.default === 'function') continue;
    const remedy = `add an "export default", or move it out of ${dir}`;
    throw new Error(`${file} exports no plugin: ${remedy}`);
  }
}
