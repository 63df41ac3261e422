import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { build } from 'esbuild';

/*
 * `npm run build`: TypeScript compiles each file of src/, plugins/, routes/ and jobs/ to its place in dist/, with a
 * source map. Packages stay in node_modules.
 */

/**
 * Packages of hundreds of small files, which Node loads slowly: each becomes one file in dist/node_modules. They are
 * plain code without state, so a second copy beside node_modules does no harm.
 */
const PACKED = ['typebox', 'kysely'];

/** Swagger UI is a development dependency of twelve megabytes, of which the API's page needs two files. */
const SWAGGER_UI = ['package.json', 'swagger-ui.css', 'swagger-ui-bundle.js'];

/** Our own code, as in tsconfig.build.json. */
const FOLDERS = ['src', 'plugins', 'routes', 'jobs'].filter((folder) => existsSync(folder));

// A file that was deleted must not stay in dist/: routes and plugins are loaded because they are there.
rmSync('dist', { recursive: true, force: true });
compile();
for (const folder of FOLDERS) copyOthers(folder);
for (const name of PACKED) await pack(name);
for (const file of SWAGGER_UI)
  cpSync(`node_modules/swagger-ui-dist/${file}`, `dist/node_modules/swagger-ui-dist/${file}`);

function compile(): void {
  const { status } = spawnSync('tsc', ['--project', 'tsconfig.build.json'], {
    stdio: 'inherit',
    shell: true,
  });
  if (status !== 0) process.exit(status ?? 1);
}

/** Files that are read at run time, such as a page, are at the same place beside the code as in the sources. */
function copyOthers(folder: string): void {
  const filter = (file: string) => !file.endsWith('.ts');
  cpSync(folder, `dist/${folder}`, { recursive: true, filter });
}

/** Keeps the package's name, version and entry points; what these share is a file of its own. */
async function pack(name: string): Promise<void> {
  const { version, exports } = JSON.parse(
    readFileSync(`node_modules/${name}/package.json`, 'utf8'),
  );
  const folder = `dist/node_modules/${name}`;
  const entries = Object.keys(exports).filter((entry) => !/\*|json$/.test(entry));
  await build({
    entryPoints: entries.map((entry) => ({
      in: path.posix.join(name, entry),
      out: entry === '.' ? 'index' : entry,
    })),
    outdir: folder,
    bundle: true,
    splitting: true,
    platform: 'node',
    format: 'esm',
  });
  const files = entries.map((entry) => [entry, entry === '.' ? './index.js' : `${entry}.js`]);
  const manifest = { name, version, type: 'module', exports: Object.fromEntries(files) };
  writeFileSync(`${folder}/package.json`, JSON.stringify(manifest));
}
