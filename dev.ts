/**
 * `npm run dev`: runs the sources as they are, with the settings of .env.example and .env, and again after each change,
 * and makes the log readable. `node --watch` was tried: it does not see new files, or aborts at Ctrl-C where it does.
 */

import { type ChildProcess, spawn } from 'node:child_process';
import { EventEmitter, once } from 'node:events';
import { existsSync, watch } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import pretty from 'pino-pretty';

/** The settings of development: the later file wins, and the real environment over both. */
const SETTINGS = ['.env.example', '.env'];

/** An editor's save is several changes; they are one after this pause, in milliseconds. */
const SETTLE_MS = 50;

const output = pretty({
  translateTime: 'SYS:HH:MM:ss',
  ignore: 'pid,hostname,name,method,path,status,durationMs,requestId,address',
  messageFormat: ({ method, path, status, durationMs, msg }) =>
    method ? `${method} ${path} ${status} in ${durationMs} ms` : String(msg),
});

const changes = new EventEmitter();
let app = start();
let stopping = false;

watch('.', (_event, file) => SETTINGS.includes(file ?? '') && changes.emit('change'));
for (const folder of ['src', 'plugins', 'routes']) watch(folder, { recursive: true }, () => changes.emit('change'));

for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.on(signal, async () => {
    stopping = true;
    await stop(app, signal);
    process.exit(0);
  });
}

while (!stopping) {
  await once(changes, 'change');
  await sleep(SETTLE_MS);
  await stop(app, 'SIGTERM');
  if (!stopping) app = start();
}

function start(): ChildProcess {
  const settings = SETTINGS.filter((file) => existsSync(file)).map((file) => `--env-file=${file}`);
  const child = spawn(process.execPath, [...settings, 'src/web.ts'], { stdio: ['inherit', 'pipe', 'inherit'] });
  child.stdout.pipe(output, { end: false });
  child.once('exit', (code) => code && output.write(`The app ended with ${code}; it starts again after a change\n`));
  return child;
}

/** Ctrl-C reaches the app by itself too; it takes both signals for one. */
async function stop(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  child.kill(signal);
  await once(child, 'exit');
}
