import type { FastifyInstance } from 'fastify';
import { loadFolder } from './load-folder.ts';

/**
 * Loads errors, validation and the API's document first, then the others in the order of their
 * dependencies. A route has only the error handler, the format of schema errors and the hooks for
 * routes that were there before it, and a plugin may add a route.
 *
 * @param jobs the folders of the jobs, an option of each plugin
 */
export async function loadPlugins(
  app: FastifyInstance,
  folders: URL[],
  jobs: URL[],
): Promise<void> {
  const isFirst = (name: string) => /^\/(errors|validation)[/.]/.test(name);
  const isDocs = (name: string) => /^\/docs[/.]/.test(name);
  // readConfig has already loaded plugins/env.
  const isLater = (name: string) => !isFirst(name) && !isDocs(name) && !/^\/env[/.]/.test(name);
  // Deeper folders belong to the plugin above them.
  for (const which of [isFirst, isDocs, isLater])
    for (const folder of folders)
      await loadFolder(app, folder, { options: { jobs }, maxDepth: 1, which });
}
