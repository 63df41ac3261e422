import assert from 'node:assert/strict';
import type { Attempt } from '../routing/load.ts';

/** The titles of all acknowledged notes. */
export class Ledger {
  readonly #titles = new Set<string>();

  get size(): number {
    return this.#titles.size;
  }

  /** Enters all acknowledged writes. */
  enter(attempts: Attempt[]): void {
    for (const { title, status } of attempts) if (title && status === 201) this.#titles.add(title);
  }

  /** @throws unless each title is stored exactly once */
  compare(stored: string[]): void {
    const distinct = new Set(stored);
    const lost = [...this.#titles].filter((title) => !distinct.has(title));
    assert.deepEqual(lost, [], `${lost.length} of ${this.size} acknowledged writes are lost`);
    assert.equal(
      stored.length,
      distinct.size,
      `${stored.length - distinct.size} writes were done twice`,
    );
  }
}

/** Lists all titles of an app's notes, page by page. */
export async function listTitles(url: string): Promise<string[]> {
  const titles: string[] = [];
  for (let after: string | null = ''; after !== null; ) {
    const answer = await fetch(`${url}/notes?limit=100${after && `&after=${after}`}`);
    assert.equal(answer.status, 200);
    const page = (await answer.json()) as { items: { title: string }[]; next: string | null };
    titles.push(...page.items.map(({ title }) => title));
    after = page.next;
  }
  return titles;
}
