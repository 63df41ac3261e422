import { globSync } from 'node:fs';
import path from 'node:path';
import { type Browser, type BrowserContextOptions, chromium, type Page } from 'playwright-core';

/** Disables background requests and the graphics card. */
const FLAGS = [
  '--disable-gpu',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  '--no-first-run',
];

/** The time-out for anything in a page, in milliseconds. */
const TIMEOUT_MS = 120_000;

/** The color schemes and window sizes to check, in pixels. */
export const LOOKS = (['light', 'dark'] as const).flatMap((colorScheme) => [
  { name: `desktop-${colorScheme}`, colorScheme, viewport: { width: 1280, height: 800 } },
  {
    name: `phone-${colorScheme}`,
    colorScheme,
    viewport: { width: 390, height: 844 },
    deviceScaleFactor: 2,
  },
]);

/** Launches the machine's Chromium with a temporary profile. */
export async function launchBrowser(): Promise<Browser> {
  // Chromium's sandbox does not work for root.
  const chromiumSandbox = process.getuid?.() !== 0;
  return chromium.launch({ executablePath: findBrowser(), args: FLAGS, chromiumSandbox });
}

function findBrowser(): string {
  const folders = (process.env.PATH ?? '').split(path.delimiter);
  const names = ['chromium', 'chromium-browser', 'google-chrome'];
  const [found] = globSync(
    folders.flatMap((folder) => names.map((name) => path.join(folder, name))),
  );
  if (!found) throw new Error('Chromium is not installed (Debian: apt-get install chromium)');
  return found;
}

/** A page and its problems. */
export interface WatchedPage {
  page: Page;
  /**
   * Console errors and warnings, exceptions, policy violations, failed requests, and requests to
   * other servers.
   */
  complaints: string[];
}

/** Opens a page that may only send requests to `origin`. */
export async function openPage(
  browser: Browser,
  origin: string,
  options: BrowserContextOptions,
): Promise<WatchedPage> {
  const context = await browser.newContext(options);
  const complaints: string[] = [];
  await context.exposeFunction('reportViolation', (text: string) =>
    complaints.push(`policy: ${text}`),
  );
  await context.addInitScript(`document.addEventListener('securitypolicyviolation', (violation) =>
    reportViolation(violation.violatedDirective + ' forbids ' + violation.blockedURI));`);
  context.setDefaultTimeout(TIMEOUT_MS);
  const page = await context.newPage();
  page.on('console', (message) => {
    if (['error', 'warning'].includes(message.type()))
      complaints.push(`console: ${message.text()}`);
  });
  page.on('pageerror', (error) => complaints.push(`exception: ${error.message}`));
  page.on('requestfailed', (request) =>
    complaints.push(`failed: ${request.url()} ${request.failure()?.errorText}`),
  );
  page.on('request', (request) => {
    const url = new URL(request.url());
    if (!['data:', 'blob:'].includes(url.protocol) && url.origin !== origin)
      complaints.push(`elsewhere: ${url}`);
  });
  return { page, complaints };
}
