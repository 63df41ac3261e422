import assert from 'node:assert/strict';
import type { Page } from 'playwright-core';
import { launchBrowser, openPage } from '../browser/browser.ts';
import type { PostgresServer } from '../postgres.ts';
import { type Program, startProgram } from '../routing/web.ts';
import { stopProgram } from './scene.ts';

const TITLES = ['before the restart', 'after the restart', 'typed by hand'];

const CHANGED = 'changed by SQL';

/** Restarts the app while a page is open. The page has to show notes from before and after. */
export async function proveBrowser(program: Program, postgres: PostgresServer): Promise<string> {
  const url = `http://127.0.0.1:${program.environment.PORT}`;
  const browser = await launchBrowser();
  let running = await startProgram(program);
  try {
    const { page } = await openPage(browser, url, {});
    await page.goto(`${url}/live`);
    await page.getByText('live', { exact: true }).waitFor();
    await create(url, TITLES[0]!);
    await page.getByText(TITLES[0]!).waitFor();
    await stopProgram(running, program);
    await page.getByText('reconnecting').waitFor();
    running = await startProgram(program);
    await create(url, TITLES[1]!);
    await page.getByText(TITLES[1]!).waitFor();
    await page.getByLabel('Title').fill(TITLES[2]!);
    await page.getByRole('button', { name: 'Add' }).click();
    await page.getByText(TITLES[2]!).waitFor();
    await proveChanges(page, postgres);
    return await countTitles(page);
  } finally {
    await browser.close();
    await stopProgram(running, program);
  }
}

/** SQL may leave the time of a change as it is, and may write a deleted note again. */
async function proveChanges(page: Page, postgres: PostgresServer): Promise<void> {
  const item = page.getByText(CHANGED, { exact: true });
  await postgres.query(`update notes set title = '${CHANGED}' where title = '${TITLES[2]}'`);
  await item.waitFor();
  const [note] = await postgres.query(`delete from notes where title = '${CHANGED}' returning *`);
  await item.waitFor({ state: 'detached' });
  await postgres.query(
    `insert into notes values ('${note!.id}', '${TITLES[2]}', '', now(), now())`,
  );
  await page.getByText(TITLES[2]!).waitFor();
}

async function countTitles(page: Page): Promise<string> {
  const shown = await page.locator('li b').allTextContents();
  const own = shown.filter((title) => TITLES.includes(title));
  assert.deepEqual(own, TITLES.toReversed(), 'each once, the newest first');
  return `${shown.length} notes`;
}

async function create(url: string, title: string): Promise<void> {
  const headers = { 'content-type': 'application/json' };
  const answer = await fetch(`${url}/notes`, {
    method: 'POST',
    headers,
    body: JSON.stringify({ title }),
  });
  assert.equal(answer.status, 201);
}
