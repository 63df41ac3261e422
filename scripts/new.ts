import { spawnSync } from 'node:child_process';
import { existsSync, globSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { findClashes, type Names, readNames, rename } from './new/names.ts';

/*
 * `npm run new resource NAME`: a resource with its table and its test, from new/resource. That is TypeScript as any other,
 * formatted and type-checked, in which nothing but the names changes; the notes would do too, but they are there to be
 * removed or to become somebody's product.
 */

const USAGE = `npm run new resource NAME [SINGULAR]

  NAME      what it is called, plural and in kebab-case: books, order-items
  SINGULAR  one of it, where the plural follows no rule: npm run new resource people person`;

const ROOT = path.join(import.meta.dirname, '..');
const SOURCE = path.join(ROOT, 'scripts/new/resource');
const SOURCE_NAMES: Names = { plural: 'sample-things', singular: 'sample-thing' };
const BIOME = path.join(ROOT, 'node_modules/@biomejs/biome/bin/biome');

const [kind, name = '', singular, ...rest] = process.argv.slice(2);

if (kind !== 'resource' || !name || rest.length > 0) rejectWith(USAGE);

try {
  const names = readNames(name, singular);
  const files = renderFiles(names);
  checkFree(names, files);
  writeFiles(files);
  console.log([`${names.plural}, singular ${names.singular}:`, ...files.keys()].join('\n  '));
} catch (error) {
  rejectWith((error as Error).message);
}

function rejectWith(message: string): never {
  console.error(message);
  process.exit(1);
}

/** The text of each file by its path. */
function renderFiles(names: Names): Map<string, string> {
  const { plural } = names;
  const sources = [
    [`src/migrations/${findNumber()}-create-${plural}.ts`, 'migration.ts'],
    [`routes/${plural}/index.ts`, 'index.ts'],
    [`routes/${plural}/schema.ts`, 'schema.ts'],
    [`routes/${plural}/store.ts`, 'store.ts'],
    [`test/routes/${plural}.test.ts`, 'test.ts'],
  ] as const;
  return new Map(sources.map(([file, source]) => [file, render(source, names)]));
}

/** Migrations are applied in the order of their names; the last one's number plus one. */
function findNumber(): string {
  const numbers = globSync('src/migrations/*.ts', { cwd: ROOT }).map((file) =>
    Number.parseInt(path.basename(file), 10),
  );
  const last = Math.max(0, ...numbers.filter((number) => !Number.isNaN(number)));
  return `${last + 1}`.padStart(4, '0');
}

/** The source is as deep in the tree as routes/NAME, where the imports are the same; the test alone moves. */
function render(source: string, names: Names): string {
  const text = readFileSync(path.join(SOURCE, source), 'utf8');
  const [clash] = findClashes(text, SOURCE_NAMES, names);
  if (clash)
    throw new Error(
      `"${names.plural}" does not work: there is another ${clash} in the code of each resource.`,
    );
  return rename(text, SOURCE_NAMES, names)
    .replaceAll("'../../../", "'../../")
    .replaceAll("'../../test/", "'../");
}

function checkFree({ plural }: Names, files: Map<string, string>): void {
  const taken = [`routes/${plural}`, `plugins/${plural}.ts`, ...files.keys()].find((file) =>
    existsSync(path.join(ROOT, file)),
  );
  const migration = globSync(`src/migrations/*-create-${plural}.ts`, { cwd: ROOT })[0];
  if (taken ?? migration) throw new Error(`"${plural}" is taken: ${taken ?? migration} is there.`);
}

/** All or nothing: what is there is never overwritten, and what could not be completed is taken away. */
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

/** A longer or shorter name breaks a line elsewhere, and comes earlier or later among the imports. */
function format(files: string[]): void {
  const args = [BIOME, 'check', '--write', ...files];
  const { status, stderr } = spawnSync(process.execPath, args, { cwd: ROOT, encoding: 'utf8' });
  if (status !== 0)
    throw new Error(`The files could not be formatted, and are not kept:\n${stderr}`);
}
