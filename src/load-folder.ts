import path from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import autoload, { type AutoloadPluginOptions } from '@fastify/autoload';
import type { FastifyInstance } from 'fastify';
import { importFile } from './import-file.ts';

/** How long a file may still take to load after avvio's limit, in milliseconds. */
const LOADED_MS = 1_000;

/** avvio's error of a plugin that takes too long has the plugin's function. */
type LoadError = Error & { code?: string; fn?: unknown };

const ROOT_HANDLER_SET = "Not found handler already set for Fastify instance with prefix: '/'";

type LoadOptions = Partial<AutoloadPluginOptions> & {
  /** Whether a file is loaded, by its path in the folder, such as /health/index.ts. */
  which?: (name: string) => boolean;
};

/**
 * Loads errors, validation and the API's document first, because a plugin may add a route, and a
 * route has only the handlers and hooks that were there before it.
 */
export async function loadPlugins(app: FastifyInstance, roots: URL[], jobs: URL[]): Promise<void> {
  const isFirst = (name: string) => /^\/(errors|validation|docs)[/.]/.test(name);
  // readConfig has already loaded plugins/env.
  const isLater = (name: string) => !isFirst(name) && !/^\/env[/.]/.test(name);
  // Deeper folders belong to the plugin above them.
  for (const which of [isFirst, isLater])
    for (const folder of roots)
      await loadFolder(app, folder, { options: { jobs }, maxDepth: 1, which });
}

/** Loads a folder. Throws for a file without a default export, which @fastify/autoload ignores. */
export async function loadFolder(
  app: FastifyInstance,
  folder: URL,
  { which = () => true, ...options }: LoadOptions,
): Promise<void> {
  const dir = fileURLToPath(folder);
  const files: URL[] = [];
  const matchFilter = (name: string) => {
    refuseName(dir, name);
    if (!which(name)) return false;
    files.push(pathToFileURL(path.join(dir, name)));
    return true;
  };
  try {
    await app.register(autoload, { dir, matchFilter, forceESM: true, ...options });
  } catch (error) {
    await explain(files, error as LoadError);
    throw error;
  }
  for (const file of files) await checkExport(file, dir);
}

async function explain(files: URL[], { code, fn, message }: LoadError): Promise<void> {
  if (code === 'AVV_ERR_ROOT_PLG_BOOTED')
    throw new Error("A plugin calls app.ready(), which ends the loading. Use an 'onReady' hook.");
  if (code === 'AVV_ERR_PLUGIN_NOT_VALID')
    throw new Error(`${message}: a plugin registers it, or _autohooks has no default export`);
  if (code === 'FST_ERR_CTP_ALREADY_PRESENT')
    throw new Error(`${message} Call app.removeContentTypeParser() before, see docs/answers.md`);
  if (message === ROOT_HANDLER_SET)
    throw new Error(`${message}: plugins/errors has set it. Add a route for * instead`);
  if (message === 'Cyclic dependency')
    throw new Error("Plugins need each other, so none can be first: see their 'dependencies'");
  for (const file of files) {
    const module = await importFile(file, fn ? LOADED_MS : undefined);
    if (fn && fn === module.default) throw new Error(`${fileURLToPath(file)}: ${message}`);
  }
}

async function checkExport(file: URL, dir: string): Promise<void> {
  const module = await importFile(file);
  if (typeof module.default === 'function') return;
  const remedy = `add an "export default", or move it out of ${dir} or beside an index.ts`;
  throw new Error(`${fileURLToPath(file)} exports no plugin: ${remedy}`);
}

function refuseName(dir: string, name: string): void {
  // Such a folder in routes/ would be a part of the URL, and the router finds no such path.
  if (/[#?]/.test(path.dirname(name)))
    throw new Error(`${path.join(dir, name)} has no URL: rename its folder, without # and ?`);
}
