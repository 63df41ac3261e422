import { mkdirSync } from 'node:fs';
import path from 'node:path';
import type { Repository } from './repository.ts';

/**
 * Files of the next template version: a capability with a setting, its route and test; and a change
 * of the example.
 */
const ADDED = {
  'plugins/greeting.ts': `import fp from 'fastify-plugin';
import { type Static, Type } from 'typebox';

export const settings = Type.Object({
  GREETING: Type.String({
    default: 'Hello',
    description: 'What GET /greeting answers',
    expected: 'a word',
    remedy: 'Set GREETING=Hello, or leave it out',
  }),
});

type GreetingSettings = Static<typeof settings>;

declare module './env/index.ts' {
  interface Config extends GreetingSettings {}
}

export default fp(async () => {}, { name: 'greeting' });
`,
  'routes/greeting/index.ts': `import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';

const greeting: FastifyPluginAsyncTypebox = async (app) => {
  app.get('/', async () => ({ greeting: app.config.GREETING }));
};

export default greeting;
`,
  'test/routes/greeting.test.ts': `import { test } from 'tap';
import { buildTestApp, DOWN } from '../helper.ts';

test('GET /greeting answers the greeting', async (t) => {
  const app = await buildTestApp(t, { DATABASE_URL: DOWN });
  t.strictSame((await app.inject('/greeting')).json(), { greeting: 'Hello' });
});
`,
  'routes/notes/search.ts': `import { PAGE_SIZE } from './schema.ts';

export const SEARCH_SIZE = PAGE_SIZE;
`,
};

/** A setting of plugins/cors.ts, which the next version removes. */
const REMOVED_SETTING = /\n#[^\n]*\n# CORS_ORIGIN=/;

/**
 * Commits and tags a later template version: files added, changed and removed, one setting added
 * and one removed.
 */
export async function releaseLaterVersion(template: Repository): Promise<void> {
  for (const [file, text] of Object.entries(ADDED)) {
    mkdirSync(path.join(template.folder, path.dirname(file)), { recursive: true });
    template.write(file, text);
  }
  template.replace('routes/notes/schema.ts', 'PAGE_SIZE = 20', 'PAGE_SIZE = 25');
  template.replace('src/after-listening.ts', 'DELAY_MS = 100', 'DELAY_MS = 130');
  template.replace(
    'package.json',
    '"lint": "biome check",',
    '"lint": "biome check",\n    "lint:all": "biome check .",',
  );
  template.replace('README.md', '\n## Why\n', '\n## Why this\n');
  await template.run('git rm --quiet plugins/cors.ts "test/*cors*"');
  const [setting] = REMOVED_SETTING.exec(template.read('.env.example')) ?? [];
  template.replace(
    '.env.example',
    setting ?? 'CORS_ORIGIN',
    '\n# What GET /greeting answers\n# GREETING=Hello',
  );
  template.replace(
    'CHANGELOG.md',
    '\n## 0.1.0',
    '\n## 0.2.0 - 2027-01-01\n\n### Added\n\n- GET /greeting.\n\n## 0.1.0',
  );
  template.replace(
    'package.json',
    '"template": {\n    "version": "0.1.0"',
    '"template": {\n    "version": "0.2.0"',
  );
  await template.run('npm run format');
  await template.commit('Release 0.2.0');
  await template.run('git tag v0.2.0');
}
