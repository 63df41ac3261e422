import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import path from 'node:path';
import { type Test, test } from 'tap';
import manifest from '../../package.json' with { type: 'json' };
import {
  createFolder,
  DOWN,
  type LogLine,
  type ProcessOptions,
  runProcess,
  spawnProcess,
  startProcess,
  writeFiles,
} from '../helper.ts';
import { copyBuild } from '../process/copy-build.ts';

/*
 * The process types of jobs, each case once; `npm run proof contract` tests them in full. The
 * sources start slowly: they run only where no other test covers their lines.
 */
const environment = { DATABASE_URL: DOWN, LOG_LEVEL: 'info' };

const run = (t: Test, options: Omit<ProcessOptions, 'environment'>, input = '') =>
  runProcess(t, { environment, source: 'src', ...options }, input);

test('The worker answers the health routes alone, while the database is down', async (t) => {
  const worker = await startProcess(t, { entry: 'worker', environment });
  await worker.waitForLine('The job queue is away');
  t.equal((await fetch(`${worker.url}/health/live`)).status, 200);
  t.equal((await fetch(`${worker.url}/health/ready`)).status, 503);
  t.equal((await fetch(worker.url)).status, 404);
  t.equal((await fetch(`${worker.url}/docs`, { method: 'POST' })).status, 404);
  const posted = await fetch(`${worker.url}/health/ready`, { method: 'POST' });
  t.match([posted.status, posted.headers.get('allow')], [405, 'GET, HEAD']);
  worker.signal('SIGTERM');
  t.equal(await worker.exited, 0);
});

test('A worker whose port is taken logs a warning and goes on', async (t) => {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  t.teardown(() => server.close());
  const { waitForLine, signal, exited } = spawnProcess(t, {
    entry: 'worker',
    environment: { ...environment, PORT: `${port}`, WEB_CONCURRENCY: '2' },
    source: 'src',
  });
  t.match(await waitForLine(`Port ${port} is taken`), { level: 40 });
  await waitForLine('The job queue is away');
  signal('SIGTERM');
  t.equal(await exited, 0);
});

test('A worker whose HOST is not an address of this machine ends with 1', async (t) => {
  const worker = spawnProcess(t, {
    entry: 'worker',
    environment: { ...environment, HOST: '192.0.2.1' },
    source: 'src',
  });
  t.equal(await worker.exited, 1);
  t.match(worker.lines.at(-1)?.msg, /HOST is 192\.0\.2\.1, which is not an address/);
});

test('A worker takes jobs only when its port is bound', async (t) => {
  const code = `import dns from 'node:dns';
    dns.lookup = (host, options, done) =>
      setTimeout(done, 3_000, Object.assign(new Error(host), { code: 'ENOTFOUND' }));`;
  const node = [process.execPath, '--import', `data:text/javascript,${encodeURIComponent(code)}`];
  const worker = spawnProcess(t, {
    entry: 'worker',
    environment: { ...environment, HOST: 'slow.invalid' },
    source: 'src',
    node,
  });
  t.equal(await worker.exited, 1);
  t.match(worker.lines.at(-1)?.msg, /^HOST is slow\.invalid, which is not an address/);
  t.notOk(worker.lines.find(({ msg }) => msg.startsWith('The job queue')));
});

test('job runs one job in the foreground, and ends with 1 if it fails or is unknown', async (t) => {
  const job = (...args: string[]) => run(t, { entry: 'job-command', args });
  const findEnd = (lines: LogLine[]) => lines.findLast(({ outcome }) => outcome);
  const done = await job('work', '{"how":"end"}');
  t.equal(done.code, 0);
  t.match(findEnd(done.lines), { job: 'work', outcome: 'done' });
  const failed = await job('work', '{"how":"throw"}');
  t.equal(failed.code, 1);
  t.match(findEnd(failed.lines), { outcome: 'failed' });
  const unknown = { level: 60, err: undefined, msg: /^There is no job named wrok\. These are/ };
  t.match(await job('wrok'), { code: 1, last: unknown });
  const usage = { code: 1, last: { level: 60, msg: /^Give a job's name and its/ } };
  for (const args of [
    ['work', '{'],
    ['work', '{}', 'rest'],
  ])
    t.match(await run(t, { entry: 'job', args }), usage, args.join(' '));
});

test('job ends with 1 at an uncaught exception or a signal, and logs the reason', async (t) => {
  const crashed = await run(t, { entry: 'job-command', args: ['work', '{"how":"crash"}'] });
  t.match(crashed, { code: 1, said: '', last: { level: 60, err: { stack: /work\.ts/ } } });
  t.notMatch(JSON.stringify(crashed.lines), 'hunter2');
  const args = ['work', '{"how":"hang"}'];
  const held = spawnProcess(t, { entry: 'job-command', environment, source: 'src', args });
  await held.waitForLine('hang begins');
  held.signal('SIGTERM');
  t.equal(await held.exited, 1);
  t.match(held.lines.at(-1), { level: 60, msg: 'A signal stopped the process before its end' });
});

test('release refuses the schedule of a job before it changes the database', async (t) => {
  const folder = await copyBuild(t);
  const job =
    "schema: {}, run() {}, retries: 0, retryDelayMs: 0, timeoutMs: 1, schedule: '99 * * * *'";
  await writeFiles(folder, { 'dist/jobs/never.js': `export default { ${job} };` });
  const release = await runProcess(t, { entry: 'release', environment, folder });
  const msg = /^The job never cannot have the schedule "99 /;
  t.match(release, { code: 1, last: { level: 60, msg } });
});

test('A release that something ends with exit code 0 has failed', async (t) => {
  const code = 'const { exit } = process; process.exit = () => exit(0);';
  const node = [process.execPath, '--import', `data:text/javascript,${encodeURIComponent(code)}`];
  const release = await runProcess(t, { entry: 'release', environment, source: 'src', node });
  t.match(release, { code: 1, last: { level: 60, msg: /^The release is not done: has a plugin/ } });
});

test('What a package throws when a plugin registers it ends the process', async (t) => {
  const folder = await copyBuild(t);
  const plugin = `
    import fp from 'fastify-plugin';
    const failing = fp((app, options, done) => { throw new Error('no key was given') });
    export default fp(async (app) => { await app.register(failing) });`;
  await writeFiles(folder, { 'dist/plugins/outer.js': plugin });
  const web = await runProcess(t, { entry: 'web', environment, folder });
  t.match(web, { code: 1, last: { level: 60, err: { message: 'no key was given' } } });
  const opened = await runProcess(t, { entry: 'console', environment, folder });
  t.match(opened, { code: 1, said: /^\{"level":60,.*"message":"no key was given",.*\}\s*$/ });
});

test('console runs the lines of its stdin, and ends with 1 at an error', async (t) => {
  const open = (input: string) => run(t, { entry: 'console' }, input);
  const lines = 'const one = await Promise.resolve(1)\nfunction add(more) {\nreturn one + more }\n';
  const values = 'typeof jobs.send + typeof db + (app.config instanceof Object)';
  const ended = await open(`${lines}add(2)\n'a\u2028b'.length\n${values}\nfunction never() {\n`);
  t.match(ended, { code: 1, said: /^3\n3$[\s\S]*^'functionobjecttrue'$/m });
  t.match(ended.said, /This is not complete: function never/);
  const failed = await open('await jobs.send("cats", {})\n"never"\n');
  t.match(failed, { code: 1, said: /There is no job named cats/ });
  t.notMatch(failed.said, /never/);
  t.match(await open(') + 1\n'), { code: 1, said: /Unexpected token/ });
});

/** What a line rejects with, and what is said. None of it has a stack. */
const THROWN = {
  null: 'null',
  undefined: 'undefined',
  '"text"': "'text'",
  'Object.create(null)': '[Object: null prototype] {}',
};

test('console ends with 1 at whatever is thrown, but not at a line that looks so', async (t) => {
  const open = (line: string) =>
    runProcess(t, { entry: 'console', environment }, `${line}\n"next"\n`);
  for (const [thrown, said] of Object.entries(THROWN)) {
    const rejected = await open(`await Promise.reject(${thrown})`);
    t.match(rejected, { code: 1, said: `Uncaught ${said}` }, thrown);
    t.notMatch(rejected.said, /next/, thrown);
  }
  const unawaited = await open('Promise.reject(null)');
  t.match(unawaited, { code: 1, said: /"level":60,.*"msg":"null"/ });
  const printed = await open('console.log("Uncaught"); console.error("Uncaught too")');
  t.match(printed, { code: 0, said: /^Uncaught$[\s\S]*^'next'$/m });
});

/** Reads stdout only when the file exists that is written at the end. */
const LATE_READER = '"$@" | (while [ ! -e "$END" ]; do sleep 0.1; done; sleep 0.5; cat)';

/** Prints more than a pipe holds, then writes the file. */
const PRINT =
  'for (let row = 1; row <= 20_000; row++) console.log(JSON.stringify({ row })); ' +
  "process.getBuiltinModule('node:fs').writeFileSync(process.env.END, '')\n";

test('console and job print all to a reader that is late', async (t) => {
  const node = ['sh', '-c', LATE_READER, 'sh', process.execPath];
  const readLast = async (entry: 'console' | 'job-command', input = '') => {
    const END = path.join(await createFolder(t), 'end');
    const args = entry === 'console' ? [] : ['work', JSON.stringify({ how: 'print', file: END })];
    const options = { entry, node, args, environment: { ...environment, END } };
    const { lines, said } = await runProcess(t, { source: 'src', ...options }, input);
    return { row: lines.findLast(({ row }) => row)?.row, said };
  };
  t.match(await readLast('console', PRINT), { row: 20_000 });
  t.match(await readLast('console', `${PRINT}) + 1\n`), { row: 20_000, said: /Unexpected token/ });
  t.match(await readLast('job-command'), { row: 20_000 });
});

test('A job that is done ends with 0, also if the disk of its output is full', async (t) => {
  const node = ['sh', '-c', 'exec "$@" > /dev/full', 'sh', process.execPath];
  const args = ['work', JSON.stringify({ how: 'end' })];
  t.match(await run(t, { entry: 'job-command', node, args }), { code: 0 });
});

test('console is a REPL in a terminal, and ends when the REPL ends', async (t) => {
  const node = [process.execPath, '--import', 'data:text/javascript,process.stdin.isTTY=true'];
  const repl = await run(t, { entry: 'console', node }, 'await Promise.resolve(6) * 7\n');
  t.match(repl, { code: 0, said: `${manifest.name}> 42\n` });
});
