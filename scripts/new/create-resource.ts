import { spawnSync } from 'node:child_process';
import { globSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { findPackageFile } from '../package-file.ts';
import { findClashes, type Names, readNames, rename } from './names.ts';

/*
 * The sources in new/resource are normal TypeScript, checked by `npm run proof new`. Only the names
 * in them are replaced. The notes are not the source, because an owner may edit or remove them.
 */

const ROOT = path.join(import.meta.dirname, '../..');
const SOURCE = path.join(import.meta.dirname, 'resource');
const SOURCE_NAMES: Names = { plural: 'sample-things', singular: 'sample-thing' };
const BIOME = findPackageFile('@biomejs/biome', 'bin/biome');

/**
 * Writes a resource with its table and its test, or throws and writes nothing.
 *
 * @returns lines with its names and the new files
 */
export function createResource(plural: string, singular?: string): string[] {
  const names = readNames(plural, singular);
  const files = renderFiles(names);
  checkFree(names, files);
  writeFiles(files);
  return [`${names.plural}, singular ${names.singular}:`, ...files.keys()];
}

function renderFiles(names: Names): Map<string, string> {
  const { plural } = names;
  const sources = [
    [`src/migrations/${nameTime()}-create-${plural}.ts`, 'migration.ts'],
    [`routes/${plural}/index.ts`, 'index.ts'],
    [`routes/${plural}/schema.ts`, 'schema.ts'],
    [`routes/${plural}/store.ts`, 'store.ts'],
    [`test/routes/${plural}.test.ts`, 'test.ts'],
  ] as const;
  return new Map(sources.map(([file, source]) => [file, render(source, names)]));
}

/**
 * The time, because migrations run in the order of their names, and branches must not collide. A
 * second resource in the same second gets the next free one.
 */
function nameTime(): string {
  const names = globSync('src/migrations/*', { cwd: ROOT }).map((file) => path.basename(file));
  for (let time = Date.now(); ; time += 1_000) {
    const name = new Date(time).toISOString().replaceAll(/[-:]|\..*/g, '');
    if (!names.some((other) => other.startsWith(name))) return name;
  }
}

function render(source: string, names: Names): string {
  const text = readFileSync(path.join(SOURCE, source), 'utf8');
  const [clash] = findClashes(text, SOURCE_NAMES, names);
  if (clash)
    throw new Error(
      `"${names.plural}" does not work: ${clash} is already a name in the code of each resource.`,
    );
  return rename(text, SOURCE_NAMES, names)
    .replaceAll("'../../../", "'../../")
    .replaceAll("'../../test/", "'../");
}

function checkFree({ plural }: Names, files: Map<string, string>): void {
  const patterns = [`{routes,plugins}/${plural}{,.ts}`, `src/migrations/*-create-${plural}.ts`];
  const [taken] = globSync([...patterns, ...files.keys()], { cwd: ROOT });
  if (taken) throw new Error(`"${plural}" is taken: ${taken} is there.`);
}

/** Overwrites nothing. If a file cannot be written, removes the new ones again. */
function writeFiles(files: Map<string, string>): void {
  const written: string[] = [];
  try {
    for (const [file, text] of files) {
      const target = path.join(ROOT, file);
      const folder = mkdirSync(path.dirname(target), { recursive: true });
      if (folder) written.push(folder);
      writeFileSync(target, text, { flag: 'wx' });
      written.push(target);
    }
    format([...files.keys()]);
  } catch (error) {
    for (const target of written) rmSync(target, { recursive: true, force: true });
    throw error;
  }
}

/** The new name changes where lines break, and the order of imports. */
function format(files: string[]): void {
  const args = [BIOME, 'check', '--write', ...files];
  const { status, stderr } = spawnSync(process.execPath, args, { cwd: ROOT, encoding: 'utf8' });
  if (status !== 0)
    throw new Error(`The files could not be formatted and are removed again:\n${stderr}`);
}
