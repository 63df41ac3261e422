import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { Script } from 'node:vm';

/*
 * Only dist/ runs this file. Node has a compile cache of its own, but it is one for each user of the machine, and the
 * one who builds is not the one who runs; it also lacks the functions that are compiled when they are first called.
 */

/** What build.ts made of the packages: one script, and what V8 compiled of it while the built app was tried. */
const SCRIPT = fileURLToPath(new URL('../packages.cjs', import.meta.url));
const CODE_CACHE = new URL('../packages.cache', import.meta.url);

/** Those that were asked for: a package of ES modules is copied into a new object each time it is required. */
const loaded = new Map<string, unknown>();

const cachedData = readCodeCache();
// A cache of another version of V8 is refused, and everything compiled anew: that is slower, and works.
const script = new Script(readFileSync(SCRIPT, 'latin1'), { filename: SCRIPT, ...(cachedData && { cachedData }) });

const load = runScript();

/** Loads a package: what dist/ calls where the sources have an import. */
export function requirePackage(name: string): unknown {
  if (!loaded.has(name)) loaded.set(name, load(name));
  return loaded.get(name);
}

/** What V8 has compiled of the packages so far. */
export function createCodeCache(): Buffer {
  return script.createCachedData();
}

function readCodeCache(): Buffer | undefined {
  try {
    return readFileSync(CODE_CACHE);
  } catch {
    return undefined;
  }
}

function runScript(): (name: string) => unknown {
  const module = { exports: (_name: string): unknown => undefined };
  script.runInThisContext()(module, createRequire(SCRIPT));
  return module.exports;
}
