import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, globSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { build } from 'esbuild';
import manifest from '../package.json' with { type: 'json' };
import { findPackageFile } from './package-file.ts';

/*
 * `npm run build`: compiles src/, plugins/, routes/ and jobs/ to dist/, with source maps, and stops
 * if a type is wrong. It copies other files. Packages stay in node_modules, except those in PACKED
 * and the files of Swagger UI. Flags go to the compiler: `npm run build -- --noCheck`
 */

/**
 * Packages of hundreds of small files, which Node loads slowly. As a few files in dist/node_modules
 * they save 163 and 122 ms of a start (proof/bench/README.md). Less than 20 is not worth it.
 * Packages that depend on them use the copy in node_modules.
 */
const PACKED = ['typebox', 'kysely'];

/** The API's page needs two files of Swagger UI, which is a development dependency of 12 MB. */
const SWAGGER_UI = ['package.json', 'swagger-ui.css', 'swagger-ui-bundle.js'];

// A deleted file must not stay in dist/, because all routes and plugins there are loaded.
rmSync('dist', { recursive: true, force: true });
compile();
for (const folder of globSync('{src,plugins,routes,jobs}')) copyFiles(folder);
for (const name of PACKED) if (name in manifest.dependencies) await pack(name);
if (existsSync('plugins/docs'))
  for (const file of SWAGGER_UI)
    cpSync(findPackageFile('swagger-ui-dist', file), `dist/node_modules/swagger-ui-dist/${file}`);

function compile(): void {
  const tsc = findPackageFile('typescript', 'bin/tsc');
  const args = [tsc, '--project', 'tsconfig.build.json', ...process.argv.slice(2)];
  const { status } = spawnSync(process.execPath, args, { stdio: 'inherit' });
  if (status !== 0) process.exit(1);
}

/** Copies what the compiler does not. For a link, it copies the file: only dist/ is deployed. */
function copyFiles(folder: string): void {
  // Emacs keeps a link to no file beside each file with unsaved changes.
  const filter = (file: string) => !/\.[cm]?ts$/.test(file) && existsSync(file);
  cpSync(folder, `dist/${folder}`, { recursive: true, dereference: true, filter });
}

/** Keeps the package's name, version and entry points. Code that these share has its own files. */
async function pack(name: string): Promise<void> {
  const file = findPackageFile(name, 'package.json');
  const { version, exports } = JSON.parse(readFileSync(file, 'utf8'));
  const outdir = `dist/node_modules/${name}`;
  const entries = Object.keys(exports).map((entry) => ({
    in: path.posix.join(name, entry),
    out: entry === '.' ? 'index' : entry,
  }));
  const options = { bundle: true, splitting: true, platform: 'node', format: 'esm' } as const;
  await build({ ...options, entryPoints: entries, outdir });
  const packed = { name, version, type: 'module', exports: { '.': './index.js', './*': './*.js' } };
  writeFileSync(`${outdir}/package.json`, JSON.stringify(packed));
}
