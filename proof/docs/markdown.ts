/** A block between fences, with what stands behind the first: `sh`, `sh platform`, `diff`. */
export interface Block {
  kind: string;
  lines: string[];
}

const FENCE = /^```(.*)\n([\s\S]*?)^```$/gm;

export function findBlocks(text: string, kind = ''): Block[] {
  const blocks = [...text.matchAll(FENCE)].map(([, kind = '', body = '']) => ({
    kind,
    lines: body.trimEnd().split('\n'),
  }));
  return blocks.filter((block) => block.kind.startsWith(kind));
}

/** What stands between single backticks, outside of blocks. */
export function findCode(text: string): string[] {
  return [...removeBlocks(text).matchAll(/`([^`]+)`/g)].map(([, code = '']) => code);
}

/** The words outside of blocks and code. */
export function findProse(text: string): string {
  return removeBlocks(text)
    .replace(/`[^`]+`/g, ' ')
    .replace(/\]\([^)]*\)/g, ' ');
}

/** Where links and images point. */
export function findLinks(text: string): string[] {
  const links = removeBlocks(text).matchAll(/\]\(([^)\s]+)\)|\b(?:src|srcset|href)="([^"\s]+)"/g);
  return [...links].map(([, link, attribute]) => link ?? attribute ?? '');
}

/** The part of a page below a heading of the second level. */
export function findSection(text: string, heading: string): string {
  const [, section] = text.split(`\n## ${heading}\n`);
  if (section === undefined) throw new Error(`There is no section "${heading}"`);
  return section.split('\n## ')[0]!;
}

/** What a link to a heading has after the #, as GitHub makes it. */
export function findAnchors(text: string): string[] {
  const headings = [...removeBlocks(text).matchAll(/^#+ (.+)$/gm)].map(
    ([, heading = '']) => heading,
  );
  return headings.map((heading) =>
    heading
      .toLowerCase()
      .replace(/[^\p{L}\p{N} _-]/gu, '')
      .replaceAll(' ', '-'),
  );
}

function removeBlocks(text: string): string {
  return text.replace(FENCE, '');
}
