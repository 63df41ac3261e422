import assert from 'node:assert/strict';
import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { copyTree, ROOT } from '../docs/copy.ts';
import { findBlocks } from '../docs/markdown.ts';
import { read } from '../docs/pages.ts';
import { expectSuccess } from '../docs/shell.ts';

/**
 * Builds the app with four routes: the two of docs/auth.md, one with an optional token and one that
 * passes the token on, the second one without that, and one with a scope.
 *
 * @returns the folder in which dist/ is
 */
export async function buildWithRoutes(): Promise<string> {
  const folder = await copyTree('auth');
  const [optional = '', route = ''] = findBlocks(read(ROOT, 'docs/auth.md'), 'ts').map(
    ({ lines }) => lines.join('\n'),
  );
  const alone = route
    .replace("app.get('/me', {", "app.get('/alone', {")
    .replace(', request.headers.authorization', '');
  assert.notEqual(route, alone);
  const code = `import type { FastifyInstance } from 'fastify';
import { Type } from 'typebox';

const Me = Type.Object({ id: Type.String() });
const listFeed = (caller?: string) => ({ of: caller ?? 'everybody' });

export default async (app: FastifyInstance) => {
${optional}
${route}
${alone}
app.get('/scoped', { config: { auth: { scope: 'notes:write' } } }, async ({ user }) => user);
};
`;
  await mkdir(path.join(folder, 'routes/proof'));
  await writeFile(path.join(folder, 'routes/proof/index.ts'), code);
  await expectSuccess(folder, 'npm run typecheck && npm run build');
  return folder;
}
