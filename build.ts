import { cpSync, globSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { parseEnv } from 'node:util';
import { type BuildOptions, build, type Plugin } from 'esbuild';

/*
 * `npm run build`: each file of ours becomes JavaScript at its place in dist/, so that folders are loaded as ever, and
 * all packages become one script with a cache of its compiled code. Finding, reading and compiling a thousand files is
 * most of what an app does at its start: docs/performance.md has the figures, and what else was tried.
 */

/** Packages that production takes from node_modules; each one with a native addon has to be here too. */
const OUTSIDE = [
  '@fastify/autoload', // It imports files by itself, which such a script cannot.
  ...['@fastify/swagger', 'ioredis', 'undici'], // They are loaded only where they are asked for.
  ...['@electric-sql/pglite', 'pg-native'], // Production has none of them.
];

const OPTIONS: BuildOptions = { bundle: true, platform: 'node', target: 'node20' };

/** The packages, and modules of Node, that our files import. */
const packages = new Set<string>();

/**
 * Our files import each other as they are written, and packages through src/packages.ts; modules of Node too, because
 * Node 26 loads all of its fetch for an import of node:http but not for a require: a quarter of the start.
 */
const packagesPlugin: Plugin = {
  name: 'packages',
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /./ }, ({ path: name, importer, resolveDir, kind }) => {
      if (kind === 'entry-point' || name.endsWith('.json')) return undefined;
      if (name.startsWith('.')) return { path: name.replace(/ts$/, 'js'), external: true };
      if (OUTSIDE.includes(name) || path.basename(importer) === 'packages.ts') return { path: name, external: true };
      packages.add(name);
      const loader = path.relative(resolveDir, 'src/packages.js').replaceAll(path.sep, '/');
      return { path: name, namespace: 'package', pluginData: `./${loader}`, suffix: `?${loader}` };
    });
    onLoad({ filter: /./, namespace: 'package' }, async ({ path: name, pluginData: loader }) => {
      const names = Object.keys(await import(name)).filter((key) => /^\w+$/.test(key) && key !== 'default');
      const contents = `import { requirePackage } from '${loader}';
        const loaded = requirePackage('${name}');
        const pick = (key) => loaded[key];
        export default loaded.__esModule ? loaded.default : loaded;
        ${names.map((key) => `export const ${key} = /* @__PURE__ */ pick('${key}');`).join('\n')}`;
      return { contents };
    });
  },
};

/**
 * @fastify/env checks its own options by a schema, and that one by the schema of schemas: both never change, and to
 * compile them takes a fifth of the start.
 */
const constantSchemas: Plugin = {
  name: 'constant schemas',
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /^ajv$/ }, ({ path: name, importer }) =>
      importer.includes('env-schema') ? { path: name, namespace: 'constant' } : undefined,
    );
    onLoad({ filter: /./, namespace: 'constant' }, () => ({
      contents: `const Ajv = require('ajv');
        module.exports = function (options) { return new Ajv({ ...options, meta: false, validateSchema: false }); };
        module.exports.prototype = Ajv.prototype;`,
      resolveDir: '.',
    }));
  },
};

// What was built before goes first: a route that was deleted would be loaded from dist/ for ever.
rmSync('dist', { recursive: true, force: true });
await buildFiles();
await buildPackages();
// Swagger UI is a development dependency of twelve megabytes, of which the API's page needs these two files.
for (const file of ['swagger-ui.css', 'swagger-ui-bundle.js']) {
  cpSync(`node_modules/swagger-ui-dist/${file}`, `dist/swagger-ui/${file}`);
}
await cacheCode();
process.exit();

async function buildFiles(): Promise<void> {
  const entryPoints = globSync('{src,plugins,routes}/**/*.ts');
  const sourceMaps = { sourcemap: true, sourcesContent: false };
  await build({
    ...OPTIONS,
    ...sourceMaps,
    entryPoints,
    outbase: '.',
    outdir: 'dist',
    format: 'esm',
    plugins: [packagesPlugin],
  });
}

/** One function, of the `module` and `require` of whoever runs it: see src/packages.ts. */
async function buildPackages(): Promise<void> {
  const loaders = [...packages].map((name) => `'${name}': () => require('${name}')`);
  const contents = `module.exports = (name) => ({ ${loaders.join(', ')} })[name]();`;
  await build({
    ...OPTIONS,
    stdin: { contents, resolveDir: '.' },
    outfile: 'dist/packages.cjs',
    banner: { js: '(function (module, require) {' },
    footer: { js: '})' },
    external: OUTSIDE,
    plugins: [constantSchemas],
  });
}

/** What V8 compiles for one request to the built app is what every start needs; no database is reached, nothing listens. */
async function cacheCode(): Promise<void> {
  const example = parseEnv(readFileSync('.env.example', 'utf8'));
  const production = { DATABASE_URL: 'postgres://localhost:1/none', LOG_LEVEL: 'silent', RATE_LIMIT_MAX: '600' };
  try {
    const { buildApp } = await import(path.resolve('dist/src/app.js'));
    const app = await buildApp({ environment: { ...example, ...production } });
    await app.inject('/');
    const { createCodeCache } = await import(path.resolve('dist/src/packages.js'));
    writeFileSync('dist/packages.cache', createCodeCache());
  } catch (error) {
    console.warn('The build is complete, but will start slower: the app did not run here to cache its code.', error);
  }
}
