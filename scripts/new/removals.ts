/** A row of the README's table of what can be removed. */
export interface Removal {
  /** The name in `npm run new app NAME without redis`. */
  name: string;
  /** The capabilities that must be removed before. */
  after: string[];
  commands: string[];
}

const HEADING = '\n## Remove what you do not need\n';

/** `name`, what it is (after `other`), one or more `command`. */
const ROW = /^\| +`([a-z][a-z0-9-]*)` +\| +(.+?) +\| +(`.+`.*?) +\|$/;

/** Reads the rows of the README's table. Throws at a row of another form. */
export function readRemovals(readme: string): Removal[] {
  const [section = ''] = readme.split(HEADING)[1]?.split('\n## ') ?? [];
  const [, , ...rows] = section.split('\n').filter((line) => line.startsWith('|'));
  if (rows.length === 0) throw new Error('The README has no table of what can be removed.');
  return rows.map(readRow);
}

function readRow(row: string): Removal {
  const [, name, description, commands] = ROW.exec(row) ?? [];
  if (!name || !description || !commands)
    throw new Error(`This row is not "| \`name\` | what it is | \`command\` |":\n${row}`);
  const [, after = ''] = /, after (.+)$/.exec(description) ?? [];
  return { name, after: findCode(after), commands: findCode(commands) };
}

function findCode(text: string): string[] {
  return Array.from(text.matchAll(/`([^`]+)`/g), ([, code = '']) => code);
}

/**
 * Picks the removals of these names, and of those that must be removed before, in the order of the
 * table. Throws if a name is unknown.
 */
export function pickRemovals(removals: Removal[], names: string[]): Removal[] {
  const picked = new Set<string>();
  const pick = (name: string): void => {
    const removal = removals.find((removal) => removal.name === name);
    if (!removal) throw new Error(describeUnknown(name, removals));
    for (const before of removal.after) pick(before);
    picked.add(name);
  };
  for (const name of names) pick(name);
  return removals.filter(({ name }) => picked.has(name));
}

function describeUnknown(name: string, removals: Removal[]): string {
  const names = removals.map((removal) => removal.name).join(', ');
  return `"${name}" cannot be removed. These can: ${names}.`;
}

/**
 * Removes what concerns the removed capabilities: their rows in the table, each line that ends in
 * the comment `<!-- name -->` or `# name`, and all from a line `<!-- name -->` to `<!-- /name -->`.
 */
export function removeMentions(text: string, removed: Removal[]): string {
  const row = (name: string) => `\\| +\`${name}\` +\\|.*\\n|.* (<!-- ${name} -->|# ${name})\\n`;
  const section = (name: string) => `<!-- ${name} -->\\n[^]*?^<!-- /${name} -->\\n+`;
  const mention = (name: string) => new RegExp(`^(${row(name)}|${section(name)})`, 'gm');
  return removed.reduce((left, { name }) => left.replace(mention(name), ''), text);
}
