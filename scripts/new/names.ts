import { runInNewContext, Script } from 'node:vm';

/** The plural and singular of a resource in kebab-case: order-items, order-item. */
export interface Names {
  plural: string;
  singular: string;
}

/** PostgreSQL cuts identifiers at 63 bytes. The name of a table's key adds five (`_pkey`). */
const MAX_LENGTH = 58;

/**
 * The plurals of English with a rule, and frequent words without one. An `s` after s, i or u may
 * belong to the word itself.
 */
const ENDINGS: [RegExp, string?][] = [
  [/(ser|spec)ies$/],
  [/(^|-)(news|lens|alias|atlas|bias|canvas|chaos|gas)$/],
  [/((^|-)(lens|alias|atlas|bias|canvas|gas))es$/, '$1'],
  [/(mov|cook|calor|zomb|self|(^|-)[dlpt])ies$/, '$1ie'],
  [/([^aeiou])ies$/, '$1y'],
  [/(ss|x|sh|[^aeiou]ch|[eo]ach|eech|[^aeo]us)es$/, '$1'],
  [/quizzes$/, 'quiz'],
  [/(zz)es$/, '$1'],
  [/([^siu])s$/, '$1'],
];

/** The reserved words of PostgreSQL. As a table's name, they need quotes in every statement. */
export const SQL_WORDS =
  `all analyse analyze and any array as asc asymmetric authorization binary both case cast check
  collate collation column concurrently constraint create cross current_catalog current_date
  current_role current_schema current_time current_timestamp current_user default deferrable desc
  distinct do else end except false fetch for foreign freeze from full grant group having ilike in
  initially inner intersect into is isnull join lateral leading left like limit localtime
  localtimestamp natural not notnull null offset on only or order outer overlaps placing primary
  references returning right select session_user similar some symmetric system_user table
  tablesample then to trailing true union unique user using variadic verbose when where window
  with`.split(/\s+/);

/** Map, Date, Promise and others. */
const LANGUAGE_NAMES: string[] = runInNewContext('Object.getOwnPropertyNames(globalThis)');

/** Checks the names of a resource, or throws. Derives the singular if it is not given. */
export function readNames(plural: string, given?: string): Names {
  checkForm(plural);
  const singular = given ?? deriveSingular(plural);
  checkForm(singular);
  checkWords({ plural, singular });
  return { plural, singular };
}

function checkForm(name: string): void {
  if (!/^[a-z][a-z0-9]*(-[a-z0-9]+)*$/.test(name))
    throw new Error(
      `"${name}" is not kebab-case: small letters and digits, a letter first, such as order-items. ` +
        'To have it in a folder of routes/, move its files afterwards.',
    );
  if (name.length > MAX_LENGTH)
    throw new Error(
      `"${name}" is too long: PostgreSQL would cut names. At most ${MAX_LENGTH} characters.`,
    );
}

function deriveSingular(plural: string): string {
  const [ending, singular] = ENDINGS.find(([ending]) => ending.test(plural)) ?? [];
  if (ending && singular) return plural.replace(ending, singular);
  throw new Error(
    `"${plural}" is not plural, or irregular: give the singular too, as in people person.`,
  );
}

function checkWords({ plural, singular }: Names): void {
  if (SQL_WORDS.includes(toSnakeCase(plural)))
    throw new Error(`"${plural}" is a reserved word of SQL.`);
  if (/^(pg|kysely)-/.test(plural))
    throw new Error(
      `"${plural}" does not work: PostgreSQL has views, and Kysely tables, with such names.`,
    );
  const type = toPascalCase(singular);
  if (LANGUAGE_NAMES.includes(type))
    throw new Error(
      `"${plural}" does not work: its type would be ${type}, which JavaScript already has.`,
    );
  try {
    new Script(`'use strict'; async () => { let ${toCamelCase(plural)}; }`);
  } catch {
    throw new Error(`"${plural}" is a reserved word of JavaScript.`);
  }
}

/** Replaces names in all their forms, such as a table, a type and an error code. */
export function rename(text: string, from: Names, to: Names): string {
  const parts = ['plural', 'singular'] as const;
  const names = parts.flatMap((part) =>
    FORMS.map((form) => [form(from[part]), form(to[part])] as const),
  );
  // In one pass, because the new name may contain the old one.
  const pattern = new RegExp(names.map(([old]) => old).join('|'), 'g');
  const renamed = new Map(names);
  return text.replace(pattern, (old) => renamed.get(old) as string);
}

/** Finds names that the code would have twice. A resource `types` would have a second `Type`. */
export function findClashes(code: string, from: Names, to: Names): string[] {
  const words = Array.from(
    code.replace(TEXT, '').matchAll(/(?<![.\w])[A-Za-z]\w*/g),
    ([word]) => word,
  );
  const isChanged = (word: string) => word.includes(toPascalCase(from.singular));
  const kept = new Set(words.filter((word) => !isChanged(word)));
  const changed = new Set(words.filter(isChanged));
  return [...changed].map((word) => rename(word, from, to)).filter((word) => kept.has(word));
}

/** Comments, and strings in single quotes. */
const TEXT = /\/\*[\s\S]*?\*\/|'[^'\n]*'/g;

const FORMS = [
  (name: string) => name,
  toSnakeCase,
  toCamelCase,
  toPascalCase,
  (name: string) => toSnakeCase(name).toUpperCase(),
  toWords,
  (name: string) => capitalize(toWords(name)),
];

export function toSnakeCase(name: string): string {
  return name.replaceAll('-', '_');
}

function toCamelCase(name: string): string {
  return name.replace(/-(.)/g, (_, letter: string) => letter.toUpperCase());
}

function toPascalCase(name: string): string {
  return capitalize(toCamelCase(name));
}

function toWords(name: string): string {
  return name.replaceAll('-', ' ');
}

function capitalize(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
