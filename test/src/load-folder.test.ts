import { pathToFileURL } from 'node:url';
import Fastify from 'fastify';
import { type Test, test } from 'tap';
import { loadFolder } from '../../src/load-folder.ts';
import { createFolder, writeFiles } from '../helper.ts';

/** The error when a folder with this file is loaded. */
async function load(t: Test, code: string): Promise<Error> {
  const folder = await createFolder(t);
  await writeFiles(folder, { 'good/index.js': GOOD, 'hanging/index.js': code });
  const app = Fastify({ pluginTimeout: 2_000 });
  // Nothing else keeps the test running.
  const alive = setInterval(() => undefined, 1_000);
  t.teardown(() => clearInterval(alive));
  return loadFolder(app, pathToFileURL(`${folder}/`), {}).then(
    () => t.fail('it is loaded') as never,
    (error) => error,
  );
}

const GOOD = 'export default async () => undefined;';

test('A file whose top level never ends is named', async (t) => {
  const code = `await new Promise(() => undefined);\n${GOOD}`;
  t.match(await load(t, code), {
    message: /hanging\/index\.js cannot be loaded: it takes .* an await at its top level/,
  });
});

test('What the template has set already is named with the way to change it', async (t) => {
  const add = "app.addContentTypeParser('x/a', (request, payload, done) => done());";
  const parser = await load(t, `export default async (app) => { ${add} ${add} };`);
  t.match(parser, { message: /x\/a' already present\. Call app\.removeContentTypeParser/ });
  const set = 'app.setNotFoundHandler(() => 1);';
  const plugin = `async function plugin(app) { ${set} ${set} }\nexport default plugin;`;
  const root = `${plugin}\nplugin[Symbol.for('skip-override')] = true;`;
  t.match(await load(t, root), { message: /'\/': plugins\/errors has set it\. Add a route/ });
  t.match(await load(t, plugin), { message: /already set .* '\/hanging'$/ });
  t.match(await load(t, "export default async () => { throw 'text' };"), 'text');
});

test('A plugin that never ends is named by its file', async (t) => {
  const error = await load(t, 'export default () => new Promise(() => undefined);');
  t.match(error, { message: /hanging\/index\.js: Plugin did not start in time/ });
});
