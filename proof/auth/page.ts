import assert from 'node:assert/strict';
import type { RunningApp } from '../app.ts';
import { launchBrowser, openPage } from '../browser/browser.ts';
import { execute, findOperation } from '../browser/index.ts';

/** Enters a token in Swagger UI's "Authorize"; "Execute" has to send it. */
export async function provePage(app: RunningApp, token: string): Promise<void> {
  await using browser = await launchBrowser();
  const { page, complaints } = await openPage(browser, app.url, {});
  await page.goto(`${app.url}/docs`, { waitUntil: 'networkidle' });
  await page.locator('.scheme-container .btn.authorize').click();
  await page.locator('.auth-container input').fill(token);
  await page.locator('.auth-btn-wrapper button[type=submit]').click();
  await page.locator('.auth-btn-wrapper .btn-done').click();
  const me = findOperation(page, 'get /me');
  await me.locator('.opblock-summary').first().click();
  assert.match(await execute(me), /^200/);
  assert.match(await me.locator('.live-responses-table').innerText(), /"id": "proof"/);
  await page.context().close();
  assert.deepEqual(complaints, []);
}
