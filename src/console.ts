import { once } from 'node:events';
import { createInterface } from 'node:readline';
import repl, { type REPLServer } from 'node:repl';
import { PassThrough } from 'node:stream';
import { sql } from 'kysely';
import { createLogger } from './logger.ts';
import { exitWith } from './operator-error.ts';
import './source-maps.ts';

const { buildApp } = await import('./app.ts');

// What is asked for goes to stdout, the log to stderr.
const logger = createLogger({ write: (line) => void process.stderr.write(line) });

openConsole().catch((error) => exitWith(error, logger));

/** A REPL with the app, which does not listen; without a terminal it runs the lines of stdin. */
async function openConsole(): Promise<void> {
  const app = await buildApp({ logger });
  const { isTTY } = process.stdin;
  const unused = { input: new PassThrough(), output: new PassThrough() };
  const server = repl.start(isTTY ? 'poort> ' : unused);
  Object.assign(server.context, { app, db: app.db, jobs: app.jobs, sql });
  await (isTTY ? once(server, 'exit') : runLines(server)).finally(() => app.close());
  process.exit();
}

/** Runs each line when the one before has ended; one that is not complete goes on in the next. */
async function runLines(server: REPLServer): Promise<void> {
  let code = '';
  for await (const line of createInterface(process.stdin)) {
    code += `${line}\n`;
    const value = await evaluate(server, code);
    if (value instanceof repl.Recoverable) continue;
    code = '';
    if (value !== undefined) console.log(server.writer(value));
  }
  if (code.trim()) throw new SyntaxError(`This is not complete: ${code}`);
}

function evaluate(server: REPLServer, code: string): Promise<unknown> {
  return new Promise((resolve, reject) => {
    server.eval(code, server.context, 'console', (error, value) => {
      if (error && !(error instanceof repl.Recoverable)) reject(error);
      else resolve(error ?? value);
    });
  });
}
