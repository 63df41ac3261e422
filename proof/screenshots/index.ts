// Takes the pictures of docs/images: each page on desktop and phone, light and dark; npm run dev
import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import { startApp } from '../app.ts';
import { LOOKS, launchBrowser, openPage } from '../browser/browser.ts';
import type { Tally } from '../tally.ts';
import { createTerminalPage } from './terminal.ts';

const FOLDER = path.join(import.meta.dirname, '../../docs/images');

/** The pages, and an element that shows that each is complete. */
const PAGES = { welcome: { path: '/', whole: 'main' }, api: { path: '/docs', whole: '.opblock' } };

/** The address that a developer sees. */
const HEADERS = { 'x-forwarded-host': 'localhost:5000' };

export async function prove(tally: Tally): Promise<void> {
  await using app = await startApp();
  await using browser = await launchBrowser();
  await mkdir(FOLDER, { recursive: true });
  for (const look of LOOKS) {
    for (const [name, { path: url, whole }] of Object.entries(PAGES)) {
      const file = `${name}-${look.name}.png`;
      await tally.check(file, async () => {
        const { page } = await openPage(browser, app.url, { ...look, extraHTTPHeaders: HEADERS });
        await page.goto(app.url + url);
        await page.locator(whole).first().waitFor();
        await page.screenshot({ path: path.join(FOLDER, file), fullPage: true });
        await page.context().close();
      });
    }
  }
  await tally.check('dev.png', async () => {
    const { page } = await openPage(browser, app.url, {
      viewport: { width: 1280, height: 200 },
      deviceScaleFactor: 2,
    });
    await page.setContent(await createTerminalPage());
    await page.locator('body').screenshot({ path: path.join(FOLDER, 'dev.png') });
    await page.context().close();
  });
}
