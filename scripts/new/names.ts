import { runInNewContext, Script } from 'node:vm';

/** What a resource is called and one of it, in kebab-case: order-items, order-item. */
export interface Names {
  plural: string;
  singular: string;
}

/**
 * PostgreSQL cuts an identifier at 63 bytes, and its name for the table's key is five longer than
 * the table's.
 */
const MAX_LENGTH = 58;

/**
 * How English builds a plural, as far as a rule tells; `s` alone is not taken for one after s, i or
 * u.
 */
const ENDINGS: [RegExp, string][] = [
  [/([^aeiou])ies$/, '$1y'],
  [/(ss|x|sh|[^aeiou]ch|[^aeo]us)es$/, '$1'],
  [/([^siu])s$/, '$1'],
];

/**
 * The reserved words of PostgreSQL: as a table's name, each would have to be quoted in every
 * statement by hand.
 */
export const SQL_WORDS =
  `all analyse analyze and any array as asc asymmetric authorization binary both case cast check
  collate collation column concurrently constraint create cross current_catalog current_date current_role current_schema
  current_time current_timestamp current_user default deferrable desc distinct do else end except false fetch for foreign
  freeze from full grant group having ilike in initially inner intersect into is isnull join lateral leading left like
  limit localtime localtimestamp natural not notnull null offset on only or order outer overlaps placing primary references
  returning right select session_user similar some symmetric system_user table tablesample then to trailing true union
  unique user using variadic verbose when where window with`.split(/\s+/);

/** Map, Date, Promise and the others that every JavaScript has. */
const LANGUAGE_NAMES: string[] = runInNewContext('Object.getOwnPropertyNames(globalThis)');

/**
 * The names of a resource, checked.
 *
 * @throws an error that says what does not work and what would
 */
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
      `"${name}" is not kebab-case: small letters and digits, a letter first, such as order-items.`,
    );
  if (name.length > MAX_LENGTH)
    throw new Error(
      `"${name}" is too long: PostgreSQL would cut what it names after it. At most ${MAX_LENGTH} characters.`,
    );
}

function deriveSingular(plural: string): string {
  const [ending, singular] = ENDINGS.find(([ending]) => ending.test(plural)) ?? [];
  if (ending && singular !== undefined) return plural.replace(ending, singular);
  throw new Error(
    `"${plural}" is not plural, or not by a rule: give one of them too, as in people person.`,
  );
}

function checkWords({ plural, singular }: Names): void {
  if (SQL_WORDS.includes(toSnakeCase(plural)))
    throw new Error(`"${plural}" is a reserved word of SQL.`);
  const type = toPascalCase(singular);
  if (LANGUAGE_NAMES.includes(type))
    throw new Error(
      `"${plural}" does not work: one of it would be a ${type}, which is something else in JavaScript.`,
    );
  try {
    new Script(`'use strict'; async () => { let ${toCamelCase(plural)}; }`);
  } catch {
    throw new Error(`"${plural}" is a reserved word of JavaScript.`);
  }
}

/**
 * Writes the names in place of others, wherever they stand in a text: as a URL, a table, a
 * variable, a type, an error code, and in a sentence.
 */
export function rename(text: string, from: Names, to: Names): string {
  const parts = ['plural', 'singular'] as const;
  const names = parts.flatMap((part) =>
    FORMS.map((form) => [form(from[part]), form(to[part])] as const),
  );
  // All at once: the new name may have the old one in it.
  const pattern = new RegExp(names.map(([old]) => old).join('|'), 'g');
  const renamed = new Map(names);
  return text.replace(pattern, (old) => renamed.get(old) as string);
}

/**
 * The names that the code would use twice after its renaming: a resource `types` would be a second
 * `Type`.
 */
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

/** Comments, and strings in single quotes: what is no code. */
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
