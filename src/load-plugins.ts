import type { FastifyInstance } from 'fastify';
import { loadFolder } from './load-folder.ts';

/**
 * Loads the plugins in the order of their dependencies. Of the error handler, the format of a
 * schema's errors and the API's document, Fastify gives to a route only what was there before. A
 * plugin may add a route, as the document's does, so these come first.
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
