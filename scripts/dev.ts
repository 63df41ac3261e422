import { type ChildProcess, spawn } from 'node:child_process';
import { EventEmitter, once } from 'node:events';
import { existsSync, readFileSync, watch } from 'node:fs';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseEnv, styleText } from 'node:util';
import pretty from 'pino-pretty';
import manifest from '../package.json' with { type: 'json' };

/*
 * `npm run dev`: runs the sources as they are, with the settings of .env.example and .env, and again after each change,
 * and makes the log readable. `node --watch` was tried: it does not see new files, or aborts at Ctrl-C where it does.
 */

/** The settings of development: the later file wins, and the real environment over both. */
const SETTINGS = ['.env.example', '.env'];

/** An editor's save is several changes; they are one after this pause, in milliseconds. */
const SETTLE_MS = 50;

/** Where Node keeps what it has compiled: the next start takes three quarters of the time. */
const NODE_COMPILE_CACHE = 'node_modules/.cache/compile-cache';

const output = pretty({
  translateTime: 'SYS:HH:MM:ss',
  ignore: 'pid,hostname,name,method,path,status,durationMs,requestId,address',
  messageFormat: ({ method, path, status, durationMs, msg }) =>
    method ? `${method} ${path} ${status} in ${durationMs} ms` : String(msg),
});

const changes = new EventEmitter();
let welcomed = false;
let app = start();
let stopping = false;

watch('.', (_event, file) => SETTINGS.includes(file ?? '') && changes.emit('change'));
for (const folder of ['src', 'plugins', 'routes'])
  watch(folder, { recursive: true }, () => changes.emit('change'));

for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.on(signal, async () => {
    stopping = true;
    await stop(app);
    process.exit(0);
  });
}

while (!stopping) {
  await once(changes, 'change');
  await sleep(SETTLE_MS);
  await stop(app);
  if (!stopping) app = start();
}

function start(): ChildProcess {
  const settings = SETTINGS.filter((file) => existsSync(file)).map((file) => `--env-file=${file}`);
  const child = spawn(process.execPath, [...settings, 'src/web.ts'], {
    env: { NODE_COMPILE_CACHE, ...process.env },
    stdio: ['inherit', 'pipe', 'inherit'],
  });
  createInterface(child.stdout).on('line', showLine);
  child.once(
    'exit',
    (code) => code && output.write(`The app ended with ${code}; it starts again after a change\n`),
  );
  return child;
}

/** Ctrl-C reaches the app by itself too; a second SIGINT would end it at once, SIGTERM changes nothing. */
async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  child.kill('SIGTERM');
  await once(child, 'exit');
}

async function showLine(line: string): Promise<void> {
  const port = /Server listening at \S+:(\d+)/.exec(line)?.[1];
  if (!port || welcomed) return void output.write(`${line}\n`);
  welcomed = true;
  output.write(await describeApp(`http://localhost:${port}`));
}

/** What a developer wants to know first: where it is, what is attached to it, what to edit. */
async function describeApp(url: string): Promise<string> {
  const files = SETTINGS.filter((file) => existsSync(file)).map((file) =>
    parseEnv(readFileSync(file, 'utf8')),
  );
  const environment: NodeJS.ProcessEnv = Object.assign({}, ...files, process.env);
  // Loaded only now: the app that starts meanwhile comes first.
  const { gatherSettings } = await import('../plugins/env/index.ts');
  const names = Object.keys(await gatherSettings([new URL('../plugins/', import.meta.url)]));
  const attached = names
    .filter((name) => name.endsWith('_URL'))
    .map((name) => [nameService(name), environment[name]]);
  const places = [
    ['App', styleText('cyan', url)],
    ...(existsSync('plugins/docs') ? [['API', styleText('cyan', `${url}/docs`)]] : []),
    ...attached.map(([name, value]) => [
      name,
      value ? maskCredentials(value) : styleText('dim', 'not attached'),
    ]),
    ['Edit', 'routes/  plugins/  .env'],
  ];
  const rows = places.map(([name = '', value]) => `  ${name.padEnd(13)}${value}\n`);
  return `\n  ${styleText('bold', `${manifest.name} ${manifest.version}`)}\n\n${rows.join('')}\n`;
}

/** BACKING_APP_URL is the backing app. */
function nameService(setting: string): string {
  const words = setting.replace(/_URL$/, '').replaceAll('_', ' ').toLowerCase();
  return words.charAt(0).toUpperCase() + words.slice(1);
}

function maskCredentials(url: string): string {
  return url.replace(/\/\/[^/@]*@/, '//***@');
}
