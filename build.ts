import { cpSync, globSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { isBuiltin } from 'node:module';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { parseEnv } from 'node:util';
import { type BuildOptions, build, type Metafile } from 'esbuild';
import { constantSchemas, describeFiles, importConditions } from './build-plugins.ts';

/*
 * `npm run build`: all files of ours become one script, and the packages that they import another, each with a cache of
 * its compiled code. Finding, reading and compiling a thousand files is most of what an app does at its start:
 * docs/performance.md has the figures, and what else was tried.
 */

/** Packages that production takes from node_modules; each one with a native addon has to be here too. */
const OUTSIDE = [
  ...['@fastify/swagger', 'ioredis', 'undici'], // They are loaded only where they are asked for.
  ...['@electric-sql/pglite', 'pg-native'], // Production has none of them.
];

const OPTIONS: BuildOptions = { platform: 'node', target: 'node20' };

/** What esbuild makes of an `import()` where there is none, as in a script: src/scripts.ts has one. */
const IMPORT = { from: '() => __toESM(require(', to: '() => __importModule((' };

// What was built before goes first: a route that was deleted would be loaded from dist/ for ever.
rmSync('dist', { recursive: true, force: true });
const files = globSync('{src,plugins,routes}/**/*.ts', { exclude: ['src/scripts.ts', '**/*.d.ts'] });
await build({ ...OPTIONS, entryPoints: ['src/scripts.ts'], outdir: 'dist/src' });
await buildPackages(await buildFiles());
await placeFiles();
// Swagger UI is a development dependency of twelve megabytes, of which the API's page needs these two files.
for (const file of ['swagger-ui.css', 'swagger-ui-bundle.js']) {
  cpSync(`node_modules/swagger-ui-dist/${file}`, `dist/swagger-ui/${file}`);
}
await cacheCode();
process.exit();

/** @returns the packages that our files import */
async function buildFiles(): Promise<string[]> {
  const modules = files.map((file) => [nameBuilt(file), `./${file.replaceAll(path.sep, '/')}`] as const);
  const { outputs } = await buildScript('files', modules, {
    packages: 'external',
    sourcemap: true,
    sourcesContent: false,
    define: { 'import.meta': '__importMeta' },
    plugins: [describeFiles(nameBuilt)],
  });
  const imports = Object.values(outputs).flatMap(({ imports }) => imports);
  const names = imports.filter(({ path: name, kind }) => kind !== 'dynamic-import' && !isBuiltin(name));
  return [...new Set(names.map(({ path: name }) => name))].filter((name) => !OUTSIDE.includes(name));
}

async function buildPackages(names: string[]): Promise<void> {
  const modules = names.map((name) => [name, name] as const);
  const { inputs } = await buildScript('packages', modules, {
    external: OUTSIDE,
    plugins: [constantSchemas, importConditions],
  });
  // V8 keeps a text with characters beyond Latin-1, as comments have them, in twice the memory.
  edit('dist/packages.cjs', (text) => text.replaceAll(/[^\0-\x7f]/g, escapeCharacter));
  // esbuild takes what a script requires for CommonJS, whose default export is all of it.
  const required = inputs['<stdin>']!.imports.filter(({ path: file }) => inputs[file]?.format === 'esm');
  const esModules = new Set(required.map(({ original }) => original));
  edit('dist/files.cjs', (text) =>
    text.replaceAll(/(__toESM\(require\("([^"]+)"\)), 1\)/g, (call, start, name) =>
      esModules.has(name) ? `${start})` : call,
    ),
  );
}

function escapeCharacter(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`;
}

function edit(file: string, change: (text: string) => string): void {
  writeFileSync(file, change(readFileSync(file, 'utf8')));
}

/**
 * Builds a function of all modules, each by its name, for src/scripts.ts to call.
 *
 * @returns what went into it
 */
async function buildScript(
  name: string,
  modules: (readonly [string, string])[],
  options: BuildOptions,
): Promise<Metafile> {
  const loaders = modules.map(([name, module]) => `${JSON.stringify(name)}: () => require(${JSON.stringify(module)})`);
  const { outputFiles, metafile } = await build({
    ...OPTIONS,
    ...options,
    bundle: true,
    format: 'cjs',
    supported: { 'dynamic-import': false },
    stdin: { contents: `module.exports = { ${loaders.join(', ')} };`, resolveDir: '.' },
    outfile: `dist/${name}.cjs`,
    banner: { js: '(function (module, require, __importModule, __describeFile) {' },
    footer: { js: '})' },
    metafile: true,
    write: false,
  });
  for (const { path: file, text } of outputFiles) writeFileSync(file, text.replaceAll(IMPORT.from, IMPORT.to));
  return metafile;
}

/** Puts a module at the place of each of our files, where Node and the auto-loader look for it. */
async function placeFiles(): Promise<void> {
  const { metafile } = await build({
    ...OPTIONS,
    entryPoints: files,
    outbase: '.',
    outdir: 'dist',
    format: 'esm',
    metafile: true,
    write: false,
  });
  for (const [file, { exports }] of Object.entries(metafile.outputs)) {
    mkdirSync(path.dirname(file), { recursive: true });
    writeFileSync(file, passOn(file, exports));
  }
}

/** The code of a module that has the exports of one in a script. */
function passOn(file: string, exports: string[]): string {
  const scripts = path.posix.relative(path.posix.dirname(file), 'dist/src/scripts.js');
  const names = exports.map((name, index) => `${name}: export${index}`);
  return `import { load } from './${scripts}';
const { ${names.join(', ')} } = load(${JSON.stringify(path.posix.relative('dist', file))});
export { ${exports.map((name, index) => `export${index} as ${name}`).join(', ')} };
`;
}

/** A file of ours as dist/ has it. */
function nameBuilt(file: string): string {
  return file.replaceAll(path.sep, '/').replace(/ts$/, 'js');
}

function locate(file: string): string {
  return pathToFileURL(file).href;
}

/** What V8 compiles for one request to the built app is what every start needs; no database is reached, nothing listens. */
async function cacheCode(): Promise<void> {
  const example = parseEnv(readFileSync('.env.example', 'utf8'));
  const production = { DATABASE_URL: 'postgres://localhost:1/none', LOG_LEVEL: 'silent', RATE_LIMIT_MAX: '600' };
  try {
    const { buildApp } = await import(locate('dist/src/app.js'));
    const app = await buildApp({ environment: { ...example, ...production } });
    await app.inject('/');
    const { createCodeCaches } = await import(locate('dist/src/scripts.js'));
    for (const [file, code] of createCodeCaches()) writeFileSync(file, code);
  } catch (error) {
    console.warn('The app did not start here, to cache its code: dist/ starts slower, if it starts at all.', error);
  }
}
