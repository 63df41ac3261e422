import assert from 'node:assert/strict';
import type { Page } from 'playwright-core';
import { launchBrowser, openPage } from '../browser/browser.ts';
import { type Program, startProgram } from '../routing/web.ts';
import { stopProgram } from './scene.ts';

const TITLES = ['before the restart', 'after the restart', 'typed by hand'];

/** Restarts the app while a page is open. The page has to show notes from before and after. */
export async function proveBrowser(program: Program): Promise<string> {
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
    return await countTitles(page);
  } finally {
    await browser.close();
    await stopProgram(running, program);
  }
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
