/** A fenced block and its info string: `sh`, `sh platform`, `diff`. */
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

/** Finds the inline code outside of blocks. */
export function findCode(text: string): string[] {
  return [...removeBlocks(text).matchAll(/`([^`]+)`/g)].map(([, code = '']) => code);
}

/** Finds the text outside of blocks and inline code. */
export function findProse(text: string): string {
  return removeBlocks(text)
    .replace(/`[^`]+`/g, ' ')
    .replace(/\]\([^)]*\)/g, ' ');
}

/** Finds the targets of links and images. */
export function findLinks(text: string): string[] {
  const links = removeBlocks(text).matchAll(/\]\(([^)\s]+)\)|\b(?:src|srcset|href)="([^"\s]+)"/g);
  return [...links].map(([, link, attribute]) => link ?? attribute ?? '');
}

/** Finds the section below a heading of level 2. */
export function findSection(text: string, heading: string): string {
  const [, section] = text.split(`\n## ${heading}\n`);
  if (section === undefined) throw new Error(`There is no section "${heading}"`);
  return section.split('\n## ')[0]!;
}

/** Finds the anchors of headings, as GitHub makes them. */
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
