import { createHash } from 'node:crypto';
import { pathToFileURL } from 'node:url';
import { test } from 'tap';
import manifest from '../../package.json' with { type: 'json' };
import { buildTestApp, createFolder, DOWN, writeFiles } from '../helper.ts';

/** Only the plugins that the route needs. */
const plugins = [new URL('../fixture/plugins/', import.meta.url)];
const routes = [new URL('../../routes/welcome/', import.meta.url)];

const BROWSER = 'text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8';

test('GET / answers JSON to a program', async (t) => {
  const app = await buildTestApp(t, { DATABASE_URL: DOWN });
  const docs = app.hasRoute({ method: 'GET', url: '/docs' }) ? { docs: '/docs' } : {};
  for (const headers of [{}, { accept: '*/*' }, { accept: 'application/json' }]) {
    const answer = await app.inject({ url: '/', headers });
    t.equal(answer.statusCode, 200);
    t.match(answer.headers, { 'content-type': /^application\/json/, vary: /accept/i });
    t.strictSame(answer.json(), {
      name: manifest.name,
      version: manifest.version,
      ...docs,
      health: '/health/ready',
    });
  }
});

test('GET / has no link to the page of the API if there is none', async (t) => {
  const app = await buildTestApp(t, {}, { plugins, routes });
  t.strictSame(Object.keys((await app.inject('/')).json()), ['name', 'version', 'health']);
  t.notMatch((await app.inject({ url: '/', headers: { accept: BROWSER } })).body, '/docs');
});

test('GET / has a link to the page of the API if there is one', async (t) => {
  const folder = await createFolder(t);
  await writeFiles(folder, {
    'docs/index.js': "export default async (app) => app.get('/', async () => 'the page');",
  });
  const app = await buildTestApp(
    t,
    {},
    { plugins, routes: [...routes, pathToFileURL(`${folder}/`)] },
  );
  t.match((await app.inject('/')).json(), { docs: '/docs' });
  const { body } = await app.inject({ url: '/', headers: { accept: BROWSER } });
  t.match(body, '<a href="./docs">');
});

test('GET / answers a page to a browser, and its links work', async (t) => {
  const app = await buildTestApp(t, { DATABASE_URL: DOWN });
  const answer = await app.inject({ url: '/', headers: { accept: BROWSER } });
  t.equal(answer.statusCode, 200);
  t.match(answer.headers, { 'content-type': 'text/html; charset=utf-8', vary: /accept/i });
  t.match(answer.body, /^<!doctype html>/);
  const capitals = await app.inject({ url: '/', headers: { accept: 'TEXT/HTML' } });
  t.equal(capitals.body, answer.body);
  t.match(answer.body, `<h1>${manifest.name} <small>${manifest.version}</small></h1>`);
  t.match(answer.body, 'What to edit next');
  const links = [...answer.body.matchAll(/<a href="([^"]+)"/g)].map(([, link]) => String(link));
  t.ok(links.includes('./health/ready'));
  for (const link of links) {
    const { pathname } = new URL(link, 'http://localhost/');
    t.match((await app.inject(pathname)).statusCode, /^(200|503)$/, link);
    t.equal(new URL(link, 'http://localhost/api/').pathname, `/api${pathname}`, 'behind a prefix');
  }
});

test("The welcome page's policy allows only its own style and icon", async (t) => {
  const app = await buildTestApp(t, { DATABASE_URL: DOWN });
  const { body, headers } = await app.inject({ url: '/', headers: { accept: BROWSER } });
  t.notMatch(body, /<script|javascript:|\son\w+=|\sstyle=|<link[^>]+href="(?!data:)/i);
  const [, style = ''] = /<style>([\s\S]*?)<\/style>/.exec(body) ?? [];
  const hash = createHash('sha256').update(style).digest('base64');
  const policy = String(headers['content-security-policy']).split(';');
  t.ok(policy.includes("default-src 'none'"));
  t.ok(policy.includes(`style-src 'sha256-${hash}'`));
  t.ok(policy.includes('img-src data:'));
  t.notMatch(policy, /unsafe|script-src/);
});
