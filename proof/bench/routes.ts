import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { buildApp } from '../build.ts';

const ROUTES_PER_RESOURCE = 5;

/** A resource like the example's, each route with its schemas. */
const RESOURCE = `import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import { Type } from 'typebox';

const Id = Type.Object({ id: Type.String({ format: 'uuid' }) });
const Item = Type.Object({ id: Type.String(), name: Type.String({ maxLength: 200 }) });
const response = { 200: Item };

const routes: FastifyPluginAsyncTypebox = async (app) => {
  app.get('/', { schema: { response: { 200: Type.Array(Item) } } }, async () => []);
  app.post('/', { schema: { body: Item, response } }, async ({ body }) => body);
  app.get('/:id', { schema: { params: Id, response } }, async ({ params: { id } }) => ({
    id,
    name: '',
  }));
  app.patch('/:id', { schema: { params: Id, body: Item, response } }, async ({ body }) => body);
  app.delete('/:id', { schema: { params: Id } }, async (_request, reply) => reply.code(204).send());
};

export default routes;
`;

/**
 * Builds the app with `count` more routes, in folders of routes/ as an owner would have them.
 *
 * @returns the folder in which dist/ is
 */
export function buildWithRoutes(count: number): string {
  const folder = mkdtempSync(path.join(tmpdir(), 'poort-routes-'));
  process.once('exit', () => rmSync(folder, { recursive: true, force: true }));
  cpSync(buildApp(), folder, { recursive: true, verbatimSymlinks: true });
  for (let resource = 0; resource < count / ROUTES_PER_RESOURCE; resource++) {
    const target = path.join(folder, 'routes', `resource-${resource}`);
    mkdirSync(target);
    writeFileSync(path.join(target, 'index.ts'), RESOURCE);
  }
  const { status } = spawnSync('npm run --silent build', {
    cwd: folder,
    stdio: 'inherit',
    shell: true,
  });
  if (status !== 0) throw new Error(`The app with ${count} more routes could not be built`);
  return folder;
}
