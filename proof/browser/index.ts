// The pages in a real browser: their content and functions, without an error or a policy violation
import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Browser, Page } from 'playwright-core';
import { type RunningApp, startApp } from '../app.ts';
import type { Tally } from '../tally.ts';
import { LOOKS, launchBrowser, openPage } from './browser.ts';
import { startRouter } from './router.ts';

/** The time-out for reports of the browser, in milliseconds. */
const TIMEOUT_MS = 30_000;

type Look = (typeof LOOKS)[number];

export async function prove(tally: Tally): Promise<void> {
  await using app = await startApp();
  await using browser = await launchBrowser();
  await tally.check('The check of pages detects a page that breaks its rules', () =>
    proveWatch(browser, app),
  );
  for (const look of LOOKS) {
    await tally.check(`The welcome page shows no error, ${look.name}`, () =>
      proveWelcome(browser, app, look),
    );
    await tally.check(`The page of the API shows no error, ${look.name}`, () =>
      proveDocs(browser, app, look),
    );
  }
  await using router = await startRouter(app.port);
  const places = {
    directly: `${app.url}/`,
    'behind nginx': router.url,
    'under /api/': router.prefixed,
  };
  for (const [place, url] of Object.entries(places)) {
    await tally.check(`The links of the welcome page work, ${place}`, () =>
      proveLinks(browser, url),
    );
    await tally.check(`A note is created through the page of the API, ${place}`, () =>
      proveTrying(browser, url),
    );
    await tally.check(`The created note is found at its Location, ${place}`, () =>
      proveLocation(url),
    );
  }
}

/** A check that detects nothing would let all others pass. */
async function proveWatch(browser: Browser, app: RunningApp): Promise<void> {
  const { page, complaints } = await openPage(browser, app.url, {});
  await page.goto(app.url);
  await page.evaluate(`{
    const script = document.createElement('script');
    script.textContent = '1';
    document.body.append(script);
    const image = new Image();
    image.src = '/health/live';
    document.body.append(image);
  }`);
  for (const due of ['policy: script-src', 'policy: img-src', 'console: '])
    await waitForComplaint(complaints, due);
  await page.context().close();
}

async function waitForComplaint(complaints: string[], due: string): Promise<void> {
  const deadline = performance.now() + TIMEOUT_MS;
  while (!complaints.some((complaint) => complaint.startsWith(due))) {
    assert(
      performance.now() < deadline,
      `"${due}" is not among what it sees: ${complaints.join('; ')}`,
    );
    await sleep(50);
  }
}

async function proveWelcome(browser: Browser, app: RunningApp, look: Look): Promise<void> {
  const { page, complaints } = await openPage(browser, app.url, look);
  await page.goto(app.url, { waitUntil: 'networkidle' });
  await proveColours(page, look);
  await proveLayout(page, look);
  await page.context().close();
  assert.deepEqual(complaints, []);
}

async function proveLinks(browser: Browser, url: string): Promise<string> {
  const { page } = await openPage(browser, new URL(url).origin, {});
  await page.goto(url);
  const links: string[] = await page.evaluate('[...document.links].map(({ href }) => href)');
  for (const link of links)
    assert.equal((await page.request.get(link)).status(), 200, `${link} is broken`);
  await page.getByRole('link', { name: 'Try the API' }).click();
  await findOperation(page, 'get /notes').waitFor();
  await page.context().close();
  return links.join(', ');
}

async function proveDocs(browser: Browser, app: RunningApp, look: Look): Promise<string> {
  const { page, complaints } = await openPage(browser, app.url, look);
  await page.goto(`${app.url}/docs`, { waitUntil: 'networkidle' });
  const names = await listOperations(app);
  for (const name of names) await findOperation(page, name).waitFor();
  await proveLayout(page, look);
  await page.context().close();
  assert.deepEqual(complaints, []);
  return `${names.length} routes`;
}

/** The page uses the device's color scheme. */
async function proveColours(page: Page, { colorScheme }: Look): Promise<void> {
  const colour: string = await page.evaluate('getComputedStyle(document.body).backgroundColor');
  const brightness = Math.max(...colour.match(/\d+/g)!.slice(0, 3).map(Number));
  assert.equal(brightness < 128 ? 'dark' : 'light', colorScheme, `the background is ${colour}`);
}

/** Nothing is wider than the window. */
async function proveLayout(page: Page, { viewport }: Look): Promise<void> {
  const width: number = await page.evaluate('document.documentElement.scrollWidth');
  assert(
    width <= viewport.width,
    `the page is ${width} pixels wide in a window of ${viewport.width}`,
  );
}

/**
 * Sends requests from the page: creates a note with the default values, and finds it in the list.
 */
async function proveTrying(browser: Browser, url: string): Promise<string> {
  const title = `Written in a browser ${crypto.randomUUID()}`;
  const { page, complaints } = await openPage(browser, new URL(url).origin, {});
  await page.goto(new URL('docs', url).href, { waitUntil: 'networkidle' });
  const create = findOperation(page, 'post /notes');
  await create.locator('.opblock-summary').click();
  await create.locator('textarea.body-param__text').fill(JSON.stringify({ title }));
  assert.match(await execute(create), /^201/);
  const list = findOperation(page, 'get /notes');
  await list.locator('.opblock-summary').click();
  assert.match(await execute(list), /^200/);
  const shown = await list.locator('.live-responses-table').innerText();
  assert(shown.includes(title), 'the list does not show the note');
  await page.context().close();
  assert.deepEqual(complaints, []);
  return title;
}

/** @returns the status code that the page shows, and its description */
export async function execute(operation: ReturnType<typeof findOperation>): Promise<string> {
  await operation.getByRole('button', { name: 'Execute' }).click();
  const status = operation.locator('.live-responses-table .response-col_status').last();
  await status.filter({ hasText: /\d/ }).waitFor();
  return status.innerText();
}

async function proveLocation(url: string): Promise<string> {
  const headers = { 'content-type': 'application/json' };
  for (const path of ['notes', 'notes/', 'notes?a=/']) {
    const body = '{"title":"Found"}';
    const created = await fetch(new URL(path, url), { method: 'POST', headers, body });
    const place = new URL(created.headers.get('location')!, created.url).href;
    assert.deepEqual(await fetchJson(place), await created.json(), `${path}: ${place}`);
  }
  return 'with and without a slash at the end';
}

async function listOperations(app: RunningApp): Promise<string[]> {
  const { paths } = await fetchJson<{ paths: Record<string, object> }>(`${app.url}/openapi.json`);
  return Object.entries(paths).flatMap(([path, methods]) =>
    Object.keys(methods).map((method) => `${method} ${path}`),
  );
}

/** Finds Swagger UI's block of an operation. */
export function findOperation(page: Page, name: string) {
  const [method, path] = name.split(' ');
  return page.locator(`.opblock-${method}`).filter({ has: page.locator(`[data-path="${path}"]`) });
}

async function fetchJson<Type>(url: string): Promise<Type> {
  const answer = await fetch(url);
  assert.equal(answer.status, 200, url);
  return (await answer.json()) as Type;
}
