import assert from 'node:assert/strict';
import { existsSync, globSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { isCommand } from './commands.ts';
import { findAnchors, findBlocks, findCode, findLinks, findProse } from './markdown.ts';

/** Names that look like files and do not exist here, with the reason. */
const ABSENT: Record<string, string> = {
  '.env': 'the reader writes it',
  'scalingo.json': "Scalingo's name of app.json",
  'fly.toml': 'fly launch writes it',
  '_autohooks.ts': 'the reader writes it, in a folder of routes/',
  '.well-known': "a folder of the reader's site",
  'Node.js': 'it is a program',
  'http/protobuf': 'a protocol of OpenTelemetry',
  'http/json': 'a protocol of OpenTelemetry',
  'text/event-stream': 'a media type',
};

/** Names that count as files in a sentence. */
const FILE =
  /^\.?[\w-]+(?:[./][\w*-]+)*\.(?:ts|js|json|md|ya?ml|toml|lock)$|^\.[a-z][\w-]+$|^[\w.-]+\/(?:[\w.*-]+\/?)*$/;

/** A network, such as 10.0.0.0/8, looks like a folder. */
const CIDR = /^[\d.]+\/\d+$/;

/** @returns the number of links */
export function proveLinks(folder: string, page: string): string {
  const text = read(folder, page);
  const links = findLinks(text).filter((link) => !/^(https?|mailto|data):/.test(link));
  for (const link of links) {
    const [file = '', anchor] = link.split('#');
    const target = file ? path.join(path.dirname(page), file) : page;
    assert(existsSync(path.join(folder, target)), `${link} leads nowhere`);
    if (anchor)
      assert(findAnchors(read(folder, target)).includes(anchor), `${link} leads to no heading`);
  }
  return `${links.length} links`;
}

/** @returns the number of named files */
export function proveFiles(folder: string, page: string): string {
  const text = read(folder, page);
  const code = findCode(text).filter((code) => !isCommand(code));
  const words = findProse(text)
    .split(/[\s()"':;|,]+/)
    .map((word) => word.replace(/\.$/, ''));
  const names = new Set([...code, ...words].filter((word) => FILE.test(word)));
  const missing = [...names].filter(
    (name) => !(name in ABSENT) && !CIDR.test(name) && !isThere(folder, page, name),
  );
  assert(missing.length === 0, `these files do not exist: ${missing.join(', ')}`);
  return [...names].join(', ');
}

/** The name is relative to the root or the page, or a file name whose folder the sentence names. */
function isThere(folder: string, page: string, name: string): boolean {
  const places = [name, path.join(path.dirname(page), name)];
  if (places.some((place) => existsSync(path.join(folder, place)))) return true;
  return (
    !name.includes('/') &&
    globSync(`{routes,plugins,src,test}/**/${name}`, { cwd: folder }).length > 0
  );
}

/**
 * Lists the lines of a page's shell blocks and its inline commands; `marked` ones are a platform's.
 */
export function listCommands(folder: string, page: string): { line: string; marked: boolean }[] {
  const text = read(folder, page);
  const blocks = findBlocks(text, 'sh').flatMap(({ kind, lines }) =>
    lines.map((line) => ({ line, marked: kind === 'sh platform' })),
  );
  const inSentences = findCode(text)
    .filter(isCommand)
    .map((line) => ({ line, marked: page === 'docs/platforms.md' }));
  return [...blocks, ...inSentences];
}

export function read(folder: string, file: string): string {
  return readFileSync(path.join(folder, file), 'utf8');
}
