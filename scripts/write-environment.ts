import { existsSync, globSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { gatherSettings } from '../plugins/env/index.ts';
import type { Setting } from '../plugins/env/settings.ts';
import { describeSetting, writeManifest } from './app-json.ts';

/** A setting of .env.example, commented out or not, with the comment above it. */
const ENTRY = /^(?:# .*\n)*?(?:# )?([A-Z][A-Z0-9_]*)=.*(?:\n|$)/gm;

/** The file that a script runs: scripts/dev.ts. Arguments and other folders do not count. */
const PROGRAM = /^node (?:--.*? )??((?:src|jobs|scripts|proof)\/[\w-]+\.ts)(?!\S)/;

const ROOT = path.join(import.meta.dirname, '..');

const FOLDERS = ['plugins/', 'jobs/'].map((folder) => pathToFileURL(path.join(ROOT, folder)));

/** The place of the table in the README. */
const TABLE = /(?<=<!-- settings -->)[\s\S]*?(?=<!-- \/settings -->)/;

export async function readSettings(): Promise<Map<string, Setting>> {
  return new Map(Object.entries(await gatherSettings(FOLDERS)));
}

/** The README with the current table. A README without the table's two comments stays as it is. */
export function writeTable(readme: string, settings: Map<string, Setting>): string {
  const table = [
    '| Variable | Default | What it sets |',
    '| --- | --- | --- |',
    ...writeRows(settings),
  ].join('\n');
  return readme.replace(TABLE, () => `\n\n${table}\n\n`);
}

export function writeRows(settings: Map<string, Setting>): string[] {
  return [...settings].map(([name, setting]) => {
    const { default: value = 'required', '~optional': optional } = setting;
    const cells = [name, optional ? '' : String(value), describeSetting(setting)];
    return `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
  });
}

/** The settings in the README's table: those that plugins declared when it was written. */
export function readTable(readme = ''): string[] {
  const [table = ''] = TABLE.exec(readme) ?? [];
  return Array.from(table.matchAll(/^\| ([A-Z][A-Z0-9_]*) \|/gm), ([, name = '']) => name);
}

/**
 * .env.example without the former settings that no plugin declares any more. New settings are added
 * as comments. The owner's other variables are kept.
 */
export function writeExample(
  example: string,
  settings: Map<string, Setting>,
  former: string[] = [],
): string {
  const isKept = (name: string) => settings.has(name) || !former.includes(name);
  const kept = example.replace(ENTRY, (entry, name) => (isKept(name) ? entry : ''));
  const existing = new Set([...kept.matchAll(ENTRY)].map(([, name]) => name));
  const added = [...settings].filter(([name]) => !existing.has(name));
  const entries = added.map(
    ([name, setting]) => `# ${describeSetting(setting)}\n# ${name}=${setting.default ?? ''}\n`,
  );
  return `${kept.replace(/\n{3,}/g, '\n\n').trim()}\n${entries.join('')}`;
}

/** The Procfile without the process types whose source file was removed. */
export function writeProcfile(procfile: string): string {
  return procfile.replace(/^\S+: node dist\/(\S+)\.js\n/gm, (line, file) =>
    existsSync(path.join(ROOT, `${file}.ts`)) ? line : '',
  );
}

/** package.json without the scripts whose source file was removed. */
export function writeScripts(manifest: string): string {
  const written = JSON.parse(manifest);
  for (const [name, command] of Object.entries<string>(written.scripts))
    if (isRemoved(command)) delete written.scripts[name];
  return `${JSON.stringify(written, null, 2)}\n`;
}

/** `npm run job seed` runs jobs/seed.ts or jobs/seed/index.ts, and tap the tests with services. */
function isRemoved(command: string): boolean {
  const [, job] = /^npm run job ([\w-]+)$/.exec(command) ?? [];
  if (job) return hasNone(`jobs/${job}{.ts,/index.ts}`);
  const [, program] = PROGRAM.exec(command) ?? / tap .*(test\/services\/\S+)$/.exec(command) ?? [];
  return program !== undefined && hasNone(program);
}

function hasNone(files: string): boolean {
  return globSync(files, { cwd: ROOT }).length === 0;
}

if (import.meta.main) {
  const settings = await readSettings();
  write('Procfile', writeProcfile);
  const former = readTable(read('README.md'));
  write('app.json', (text) => writeManifest(text, settings, read('Procfile'), former));
  write('README.md', (text) => writeTable(text, settings));
  write('package.json', writeScripts);
  write('.env.example', (text) => writeExample(text, settings, former));
}

/** An owner may have removed the file. */
function write(file: string, change: (text: string) => string): void {
  const text = read(file);
  if (text !== undefined) writeFileSync(file, change(text));
}

function read(file: string): string | undefined {
  return existsSync(file) ? readFileSync(file, 'utf8') : undefined;
}
