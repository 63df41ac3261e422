import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { Script } from 'node:vm';

/*
 * Only dist/ runs this file. Node has a compile cache of its own, but it is one for each user of the machine, and the
 * one who builds is not the one who runs; it also lacks the functions that are compiled when they are first called.
 */

type Loaders = Record<string, () => unknown>;

const DIST = new URL('../', import.meta.url);

const requireOutside = createRequire(DIST);

/** Each script by its name. */
const scripts = new Map<string, Script>();

// Stack traces name the lines of the sources.
process.setSourceMapsEnabled(true);

/** What is in the scripts: a package by its name, a file of ours by its path in dist/. */
const loaders: Loaders = { ...run('packages'), ...run('files') };

/** Those that were asked for: a module is copied into a new object each time it is required. */
const loaded = new Map<string, unknown>();

/** Loads what is in a script: what stands at the places of our files in dist/ passes it on. */
export function load(name: string): unknown {
  if (!loaded.has(name)) loaded.set(name, loaders[name]?.());
  return loaded.get(name);
}

/** What V8 has compiled of each script so far, and the file to keep it in. */
export function createCodeCaches(): [URL, Buffer][] {
  return [...scripts].map(([name, script]) => [locateCache(name), script.createCachedData()]);
}

function run(name: string): Loaders {
  const url = new URL(`${name}.cjs`, DIST);
  const cachedData = readCodeCache(name);
  // A cache of another version of V8 is refused, and everything compiled anew: that is slower, and works.
  const script = new Script(readFileSync(url, 'utf8'), {
    filename: fileURLToPath(url),
    ...(cachedData && { cachedData }),
  });
  scripts.set(name, script);
  // Node looks for the source maps of modules and of evaluated code only, this is how a script gets one.
  if (script.sourceMapURL) new Function(`//# sourceURL=${url}\n//# sourceMappingURL=${script.sourceMapURL}`);
  const module = { exports: {} };
  script.runInThisContext()(module, requireModule, importModule, describeFile);
  return module.exports;
}

function readCodeCache(name: string): Buffer | undefined {
  try {
    return readFileSync(locateCache(name));
  } catch {
    return undefined;
  }
}

function locateCache(name: string): URL {
  return new URL(`${name}.cache`, DIST);
}

/** What the scripts call where the sources have an import. */
function requireModule(name: string): unknown {
  return name in loaders ? load(name) : requireOutside(name);
}

/** What the scripts call where the sources have an `import()`: of a file in a folder, or of a package outside. */
async function importModule(name: string): Promise<unknown> {
  const file = name.startsWith(DIST.href) ? name.slice(DIST.href.length) : '';
  return file in loaders ? load(file) : import(name);
}

/** The `import.meta` of a file of ours. */
function describeFile(file: string): ImportMeta {
  const url = new URL(file, DIST);
  const filename = fileURLToPath(url);
  // What begins with a dot is meant from the file.
  const resolve = (name: string) => import.meta.resolve(/^\.\.?\//.test(name) ? new URL(name, url).href : name);
  return { url: url.href, filename, dirname: path.dirname(filename), main: process.argv[1] === filename, resolve };
}
