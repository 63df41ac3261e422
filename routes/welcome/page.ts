import { createHash } from 'node:crypto';

/** What the page shows; the links that are not there are left out. */
interface Welcome {
  name: string;
  version: string;
  docs?: string;
  health: string;
}

const STYLE = `
  :root { color-scheme: light dark; --ink: #1d2433; --soft: #5b6579; --paper: #fbfaf7; --card: #fff; --line: #e4e0d6; --mark: #b4441f }
  @media (prefers-color-scheme: dark) {
    :root { --ink: #eceae4; --soft: #a3a9b6; --paper: #14171d; --card: #1c2028; --line: #2e343f; --mark: #f0915f }
  }
  * { box-sizing: border-box }
  body { margin: 0; min-height: 100vh; display: grid; place-items: center; padding: 2rem 1.25rem;
    background: var(--paper); color: var(--ink); font: 1rem/1.6 system-ui, sans-serif }
  main { width: 100%; max-width: 42rem }
  svg { width: 3rem; height: 3rem; color: var(--mark) }
  h1 { margin: .5rem 0 0; font-size: clamp(2rem, 7vw, 3rem); line-height: 1.1; letter-spacing: -.02em; overflow-wrap: anywhere }
  h1 small { font-size: .95rem; font-weight: 400; letter-spacing: 0; color: var(--soft); white-space: nowrap }
  p { margin: .75rem 0 0; color: var(--soft) }
  nav { display: flex; flex-wrap: wrap; gap: .75rem; margin: 1.75rem 0 }
  a { color: inherit; text-underline-offset: .2em }
  nav a { padding: .6rem 1.1rem; border: 1px solid var(--line); border-radius: .5rem; background: var(--card); text-decoration: none }
  nav a:first-child { background: var(--mark); border-color: var(--mark); color: var(--paper); font-weight: 600 }
  a:hover { border-color: var(--mark) }
  a:focus-visible { outline: 2px solid var(--mark); outline-offset: 2px }
  section { border: 1px solid var(--line); border-radius: .75rem; background: var(--card); padding: 1.25rem 1.5rem }
  h2 { margin: 0 0 .75rem; font-size: 1rem }
  dl { display: grid; grid-template-columns: max-content 1fr; gap: .5rem 1.25rem; margin: 0 }
  dd { margin: 0; color: var(--soft) }
  code { font: .9em ui-monospace, monospace; color: var(--mark) }
  @media (max-width: 30rem) { dl { display: block } dd { margin-bottom: .75rem } section { padding: 1.1rem 1.2rem } }
`;

const GATE = `<svg viewBox="0 0 24 24" fill="none" stroke="currentColor" stroke-width="1.8" stroke-linecap="round" aria-hidden="true"><path d="M3 21V11a9 9 0 0 1 18 0v10M7.5 21V12a4.5 4.5 0 0 1 9 0v9M1.5 21h21"/></svg>`;

const ICON = `data:image/svg+xml,${encodeURIComponent(
  GATE.replace('<svg', '<svg xmlns="http://www.w3.org/2000/svg"').replace(
    'currentColor',
    '#b4441f',
  ),
)}`;

/** Nothing but the page's own style and icon: it has no script, and nobody may put one into it. */
export const contentSecurityPolicy = [
  "default-src 'none'",
  `style-src 'sha256-${createHash('sha256').update(STYLE).digest('base64')}'`,
  'img-src data:',
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join(';');

/**
 * The page for whoever opens the app in a browser: what it is, where to look, what to edit next.
 */
export function renderWelcomePage({ name, version, docs, health }: Welcome): string {
  const links = [...(docs ? [[docs, 'Try the API']] : []), [health, 'Readiness']];
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escapeHtml(name)}</title>
<link rel="icon" href="${ICON}">
<style>${STYLE}</style>
</head>
<body>
<main>
${GATE}
<h1>${escapeHtml(name)} <small>${escapeHtml(version)}</small></h1>
<p>It runs. This process is its own web server: it listens on PORT, and everything around it is a URL in its environment.</p>
<nav>${links.map(([href, text]) => `<a href=".${href}">${text}</a>`).join('')}</nav>
<section>
<h2>What to edit next</h2>
<dl>
<dt><code>routes/</code></dt><dd>your product: one folder for each resource, named like its URL</dd>
<dt><code>plugins/</code></dt><dd>what every route gets: one file or folder for each capability</dd>
<dt><code>jobs/</code></dt><dd>work without a request: one file for each job</dd>
<dt><code>.env</code></dt><dd>your own settings, over those of <code>.env.example</code></dd>
</dl>
</section>
</main>
</body>
</html>
`;
}

function escapeHtml(text: string): string {
  return text.replace(/[&<>"]/g, (character) => `&#${character.charCodeAt(0)};`);
}
