import { setTimeout as sleep } from 'node:timers/promises';
import { AnsiUp } from 'ansi_up';
import { buildApp } from '../build.ts';
import { findPort, RunningProcess } from '../processes.ts';

/**
 * The time-out of `npm run dev`, in milliseconds; the embedded database is created in that time.
 */
const TIMEOUT_MS = 120_000;

const STYLE = `body { margin: 0; background: #1d2333; color: #d8dee9; display: inline-block }
  pre { margin: 0; padding: 24px 32px; font: 15px/1.5 "DejaVu Sans Mono", monospace }`;

/** Renders the terminal output of `npm run dev` and the first requests as a page. */
export async function createTerminalPage(): Promise<string> {
  const port = await findPort();
  const { PATH, HOME } = process.env;
  const environment = { PATH, HOME, PORT: `${port}`, TERM: 'xterm-256color' };
  // script(1) provides a terminal, which colours need.
  const command = ['-qefc', 'npm run --silent dev', '/dev/null'];
  await using dev = new RunningProcess('script', command, { folder: buildApp(), environment });
  const waitForLine = async (text: string) => {
    for (
      const startedAt = Date.now();
      !dev.lines.some((line) => line.includes(text));
      await sleep(50)
    )
      if (Date.now() - startedAt > TIMEOUT_MS)
        throw new Error(`It did not say "${text}":\n${dev.lines.join('\n')}`);
  };
  await waitForLine('embedded database is open');
  const note = { title: 'The gate is open' };
  await fetch(`http://localhost:${port}/notes`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(note),
  });
  await waitForLine('POST /notes');
  const output = ['$ npm run dev', ...dev.lines].join('\n').replaceAll(`${port}`, '5000');
  const html = new AnsiUp().ansi_to_html(output);
  return `<!doctype html><meta charset="utf-8"><style>${STYLE}</style><pre>${html}</pre>`;
}
