import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { finished } from 'node:stream/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import pretty from 'pino-pretty';
import { readLines } from '../src/lines.ts';
import { describeApp } from './dev/describe-app.ts';
import { shortenLine } from './dev/log-line.ts';
import { onParentEnd } from './dev/parents.ts';
import { readEnvironment } from './dev/settings.ts';
import { watchSources } from './dev/watch-sources.ts';

/*
 * `npm run dev`: runs the sources with the settings of .env.example and .env, restarts the app
 * after each change, and makes the log readable. Arguments after `--` go to Node:
 * `npm run dev -- --inspect` debugs the app. `node --watch` was tried: it misses new files, or
 * aborts at Ctrl-C.
 */

/** How long to wait for more changes, in milliseconds: an editor's save makes several. */
const SETTLE_MS = 50;

/** How long to wait for an ended app's last lines, in milliseconds. */
const OUTPUT_TIMEOUT_MS = 1_000;

/** When to kill an app that an open stream or a debugger keeps from stopping, in milliseconds. */
const KILL_AFTER_MS = 1_000;

/** Node keeps compiled code here, so that the next start takes three quarters of the time. */
const NODE_COMPILE_CACHE = 'node_modules/.cache/compile-cache';

const nodeArguments = process.argv.slice(2);
const output = pretty({ translateTime: 'SYS:HH:MM:ss', ignore: 'pid' });

let isDescribed = false;
let stopping = false;
let next: ChildProcess | undefined;
let app = start();
const changes = watchSources((message) => output.write(`${message}\n`));

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, end);
onParentEnd(end);
changes.on('environment', endNext);

while (!stopping) {
  await once(changes, 'change');
  await Promise.all([stop(app), sleep(SETTLE_MS)]);
  if (!stopping) app = start();
}

async function end(): Promise<void> {
  stopping = true;
  endNext();
  await stop(app);
  // Another process may hold the app's stdout open.
  await Promise.race([finished(app.stdout!), sleep(OUTPUT_TIMEOUT_MS)]);
  process.exit(0);
}

/** Starts the app in the waiting process, if there is one. */
function start(): ChildProcess {
  const child = next?.connected ? next : createProcess();
  next = undefined;
  child.send('start');
  return child;
}

/** Ends the waiting process, which has read old settings or packages. */
function endNext(): void {
  next?.kill();
  next = undefined;
}

function createProcess(): ChildProcess {
  const args = [...nodeArguments, 'scripts/dev/app-process.ts', 'src/web.ts'];
  const child = spawn(process.execPath, args, {
    env: { NODE_COMPILE_CACHE, ...readEnvironment() },
    stdio: ['inherit', 'pipe', 'inherit', 'ipc'],
  });
  readLines(child.stdout!, showLine);
  child.once('exit', (code, signal) => {
    if (child !== app || child.killed || stopping) return;
    const ending = signal ? `was ended by ${signal}` : `exited with code ${code}`;
    output.write(`The app ${ending}. It restarts after a change.\n`);
  });
  return child;
}

/** Ctrl-C also signals the app directly. SIGTERM, because a second SIGINT would end it at once. */
async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = once(child, 'exit');
  child.kill('SIGTERM');
  const timer = setTimeout(() => child.kill('SIGKILL'), KILL_AFTER_MS);
  await ended;
  clearTimeout(timer);
}

function showLine(line: string): void {
  const url = /Server listening at (http:[^\s"]+)/.exec(line)?.[1];
  // Not sooner, which would delay the app's start. Two processes cannot share a debugger's port.
  if (url && nodeArguments.length === 0) next ??= createProcess();
  if (!url || isDescribed) return void output.write(`${shortenLine(line)}\n`);
  isDescribed = true;
  // localhost reaches all of these, and is easier to read.
  const local = url.replace(/\/\/(\[::1?\]|127\.0\.0\.1|0\.0\.0\.0):/, '//localhost:');
  output.write(describeApp(local));
}
