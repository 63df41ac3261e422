import { existsSync, readFileSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import type { TProperties } from 'typebox';
import packageManifest from '../package.json' with { type: 'json' };
import { gatherSettings } from '../plugins/env/index.ts';

interface Setting {
  description: string;
  expected: string;
  default?: string | number;
  /** TypeBox's own mark of an optional property. */
  '~optional'?: boolean;
}

/** Settings that platforms set. They are not in app.json, the form that an operator fills in. */
const SET_BY_PLATFORMS = ['PORT', 'HOST', 'DATABASE_URL', 'REDIS_URL', 'WEB_CONCURRENCY'];

/** A setting of .env.example, commented out or not, with the comment above it. */
const ENTRY = /^(?:# .*\n)*?(?:# )?([A-Z][A-Z_]*)=.*\n/gm;

/** Heroku's add-ons, and the setting that each add-on sets. */
const ADDONS: Record<string, string> = { 'heroku-postgresql': 'DATABASE_URL' };

const ROOT = path.join(import.meta.dirname, '..');

const FOLDERS = ['plugins/', 'jobs/'].map((folder) => pathToFileURL(path.join(ROOT, folder)));

const START = '<!-- settings -->';
const END = '<!-- /settings -->';

export async function readSettings(): Promise<Map<string, Setting>> {
  const properties: TProperties = await gatherSettings(FOLDERS);
  return new Map(Object.entries(properties) as unknown as [string, Setting][]);
}

export function writeTable(readme: string, settings: Map<string, Setting>): string {
  const table = [
    '| Variable | Default | What it sets |',
    '| --- | --- | --- |',
    ...writeRows(settings),
  ].join('\n');
  const [before = '', rest = ''] = readme.split(START);
  const [, after = ''] = rest.split(END);
  return `${before}${START}\n\n${table}\n\n${END}${after}`;
}

export function writeRows(settings: Map<string, Setting>): string[] {
  return [...settings].map(
    ([name, { description, default: value = 'required', '~optional': optional }]) =>
      `| ${name} | ${optional ? '' : value} | ${description} |`,
  );
}

/** .env.example without settings that no plugin declares. New settings are added as comments. */
export function writeExample(example: string, settings: Map<string, Setting>): string {
  const kept = example.replace(ENTRY, (entry, name) => (settings.has(name) ? entry : ''));
  const existing = new Set([...kept.matchAll(ENTRY)].map(([, name]) => name));
  const added = [...settings].filter(([name]) => !existing.has(name));
  const entries = added.map(
    ([name, { description, default: value = '' }]) => `# ${description}\n# ${name}=${value}\n`,
  );
  return `${kept.replace(/\n{3,}/g, '\n\n').trim()}\n${entries.join('')}`;
}

/** The Procfile without the process types whose source file was removed. */
export function writeProcfile(procfile: string): string {
  return procfile.replace(/^\S+: node dist\/(\S+)\.js\n/gm, (line, file) =>
    existsSync(path.join(ROOT, `${file}.ts`)) ? line : '',
  );
}

/**
 * app.json with all settings that an operator may fill in, and without process types that the
 * Procfile does not have. Existing values are kept.
 */
export function writeManifest(manifest: string, settings: Map<string, Setting>): string {
  const app = JSON.parse(manifest);
  const names = [...settings].filter(([name]) => !SET_BY_PLATFORMS.includes(name));
  const env = names.map(([name, { description }]) => {
    const { value } = app.env[name] ?? {};
    return [name, { description, ...(value && { value }), required: false }];
  });
  const addons = app.addons.filter((addon: string) => isAttached(addon, settings));
  const procfile = writeProcfile(readFileSync(path.join(ROOT, 'Procfile'), 'utf8'));
  const types = Object.entries(app.formation).filter(([type]) =>
    new RegExp(`^${type}:`, 'm').test(procfile),
  );
  const { name, description } = packageManifest;
  const formation = Object.fromEntries(types);
  const written = { ...app, name, description, formation, addons, env: Object.fromEntries(env) };
  return `${JSON.stringify(written, null, 2)}\n`;
}

/** package.json without the scripts whose source file was removed. */
export function writeScripts(manifest: string): string {
  const written = JSON.parse(manifest);
  const kept = Object.entries<string>(written.scripts).filter(([, command]) =>
    listSources(command).every((file) => existsSync(path.join(ROOT, file))),
  );
  written.scripts = Object.fromEntries(kept);
  return `${JSON.stringify(written, null, 2)}\n`;
}

/** The source files in a command. `npm run job seed` runs jobs/seed.ts. */
function listSources(command: string): string[] {
  const named = command.replace(/^npm run job ([\w-]+)$/, 'jobs/$1.ts');
  return named.match(/\b(src|jobs|scripts|proof)\/[\w-]+\.ts\b/g) ?? [];
}

function isAttached(addon: string, settings: Map<string, Setting>): boolean {
  const [service = ''] = addon.split(':');
  const setting = ADDONS[service];
  return setting === undefined || settings.has(setting);
}

if (import.meta.main) {
  const settings = await readSettings();
  const procfile = writeProcfile(await readFile('Procfile', 'utf8'));
  await writeFile('Procfile', procfile);
  await writeFile('README.md', writeTable(await readFile('README.md', 'utf8'), settings));
  await writeFile('app.json', writeManifest(await readFile('app.json', 'utf8'), settings));
  await writeFile('package.json', writeScripts(await readFile('package.json', 'utf8')));
  await writeFile('.env.example', writeExample(await readFile('.env.example', 'utf8'), settings));
}
