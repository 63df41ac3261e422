import { once } from 'node:events';
import repl, { type REPLServer } from 'node:repl';
import { PassThrough, Readable, Writable } from 'node:stream';
import { promisify } from 'node:util';
import { sql } from 'kysely';
import manifest from '../package.json' with { type: 'json' };
import { exitWith } from './exit-with.ts';
import { readLines } from './lines.ts';
import { createLogger } from './logger.ts';
import { closeInTime, finishOutput } from './one-off.ts';
import { OperatorError } from './operator-error.ts';
import './source-maps.ts';

const { buildApp } = await import('./app.ts');

// Results go to stdout, the log to stderr.
const logger = createLogger({ write: (line) => void process.stderr.write(line) });

openConsole().catch(fail);

async function fail(thrown: unknown): Promise<void> {
  await finishOutput();
  exitWith(thrown, logger);
}

async function openConsole(): Promise<void> {
  process.on('uncaughtException', fail);
  const app = await buildApp({ logger });
  // A REPL has its own way.
  process.off('uncaughtException', fail);
  const { isTTY } = process.stdin;
  const output = new Writable({ write: writeOutput });
  const terminal = { prompt: `${manifest.name}> ` };
  const piped = { prompt: '', input: new PassThrough(), output };
  // With globals of its own, a Date in the console would not be a Date of the app.
  const server = repl.start({ ...(isTTY ? terminal : piped), useGlobal: true });
  Object.assign(server.context, { app, db: app.db, jobs: app.jobs, sql });
  await (isTTY ? once(server, 'exit') : runLines(server));
  process.on('uncaughtException', fail);
  await closeInTime(app);
  await finishOutput();
  process.exit();
}

/** A REPL continues after an error. Piped lines must stop there. */
function writeOutput(chunk: Buffer, _encoding: string, done: () => void): void {
  const isError = chunk.toString().startsWith('Uncaught');
  process[isError ? 'stderr' : 'stdout'].write(chunk);
  if (isError) process.exit(1);
  done();
}

async function runLines(server: REPLServer): Promise<void> {
  const lines = new Readable({ objectMode: true, read: () => undefined });
  readLines(process.stdin, (line) => lines.push(line));
  process.stdin.once('end', () => lines.push(null));
  const evaluate = promisify(server.eval).bind(server);
  let code = '';
  for await (const line of lines) {
    code += `${line}\n`;
    // A later error, such as a promise's, goes to the server's output.
    const value = await evaluate(code, server.context, 'console').catch((error) => {
      if (error instanceof repl.Recoverable) return error;
      throw error;
    });
    if (value instanceof repl.Recoverable) continue;
    code = '';
    if (value !== undefined) console.log(server.writer(value));
  }
  if (code.trim()) throw new OperatorError(`This is not complete: ${code.trim()}`);
}
