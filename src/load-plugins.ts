import type { FastifyInstance } from 'fastify';
import { loadFolder } from './load-folder.ts';

/**
 * Loads errors, validation and the API's document first, because a plugin may add a route, and a
 * route has only the handlers and hooks that were there before it.
 *
 * @param jobs the folders of the jobs, an option of each plugin
 */
export async function loadPlugins(
  app: FastifyInstance,
  folders: URL[],
  jobs: URL[],
): Promise<void> {
  const isFirst = (name: string) => /^\/(errors|validation|docs)[/.]/.test(name);
  // readConfig has already loaded plugins/env.
  const isLater = (name: string) => !isFirst(name) && !/^\/env[/.]/.test(name);
  // Deeper folders belong to the plugin above them.
  for (const which of [isFirst, isLater])
    for (const folder of folders)
      await loadFolder(app, folder, { options: { jobs }, maxDepth: 1, which });
}
