import { spawn, spawnSync } from 'node:child_process';
import { cp, rm, symlink } from 'node:fs/promises';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { type Test, test } from 'tap';
import { isTemporary } from '../../scripts/dev/watch-folder.ts';
import { findConcerned } from '../../scripts/test/concerned.ts';
import { findTests, isBuildNeeded } from '../../scripts/test/files.ts';
import { createFolder, poll, ROOT, writeFiles } from '../../test/helper.ts';
import { isRunning } from './dev-process.ts';

const PASSES = `import { test } from 'tap';
test('One is one', async (t) => t.equal(1, 1));
`;
const MOCKS = `import { test } from 'tap';
test('A mock', async (t) => {
  const mocks = { '../../routes/name.ts': { name: 'mock' } };
  const { name } = await t.mockImport('../../routes/named.ts', mocks);
  t.equal(name, 'mock');
});
test('A group', async (t) => {
  await t.test('An inner one', async (t) => t.equal(1, 1));
});
`;
const FAILS = `import { test } from 'tap';
test('One is two', async (t) => t.equal(1, 2));
`;

const ENDLESS = `console.log('pid', process.pid);
setTimeout(() => {}, 600_000);
`;

/** Copies the scripts and some tests. */
async function copyScripts(t: Test): Promise<string> {
  const folder = await createFolder(t);
  for (const name of ['scripts', 'src/lines.ts', 'package.json', '.taprc'])
    await cp(path.join(ROOT, name), path.join(folder, name), { recursive: true });
  await symlink(path.join(ROOT, 'node_modules'), path.join(folder, 'node_modules'));
  await writeFiles(folder, {
    'test/routes/passes.test.ts': PASSES,
    'test/routes/fails.test.ts': FAILS,
    'test/routes/mocks.test.ts': MOCKS,
    'test/routes/empty.test.ts': 'export {};',
    'routes/name.ts': "export const name: string = 'real';",
    'routes/named.ts': "export { name } from './name.ts';",
    'test/plugins/deep/passes.test.ts': PASSES,
    'plugins/deep/index.ts': '',
    'routes/other.ts': '',
    'scripts/other.ts': '',
  });
  return folder;
}

/** `env -i` removes the variables that tap adds to each child to measure coverage. */
function readCommand(script: string, parameters: string[], variable = 'A=b'): string[] {
  const variables = ['-i', `PATH=${process.env.PATH}`, `HOME=${process.env.HOME}`, variable];
  return [...variables, 'npm', 'run', '--silent', script, '--', ...parameters];
}

test('npm test -- FILE', async (t) => {
  const folder = await copyScripts(t);
  const run = (...parameters: string[]) => runWith('A=b', ...parameters);
  const runWith = (variable: string, ...parameters: string[]) =>
    spawnSync('env', readCommand('test', parameters, variable), { cwd: folder, encoding: 'utf8' });

  await t.test('npm test runs that file alone, and ends with 0 if it passes', async (t) => {
    const { status, stdout } = run('test/routes/passes.test.ts');
    t.equal(status, 0);
    t.match(stdout, /^# test\/routes\/passes\.test\.ts\nok 1 - One is one/);
    t.notMatch(stdout, 'fails');
  });

  await t.test('npm test shows a failure, and ends with 1', async (t) => {
    const { status, stdout } = run('test/routes/fails.test.ts');
    t.equal(status, 1);
    t.match(stdout, /not ok 1 - One is two[\s\S]*fails\.test\.ts/);
  });

  await t.test('npm test takes several files, globs and folders', async (t) => {
    const { stdout } = run('test/plugins', 'test/routes/p*', 'test/plugins/deep/passes.test.ts');
    t.strictSame(stdout.match(/^# test.*$/gm), [
      '# test/plugins/deep/passes.test.ts',
      '# test/routes/passes.test.ts',
    ]);
  });

  await t.test('npm test names a file that does not exist', async (t) => {
    t.match(run('test/none.test.ts'), {
      status: 1,
      stderr: 'There is no test at test/none.test.ts.\n',
    });
  });

  await t.test('npm test names a file that is no test', async (t) => {
    t.match(run('routes/other.ts'), {
      status: 1,
      stderr: 'There is no test at routes/other.ts.\n',
    });
  });

  await t.test('npm test ends with 1 if no test ran, and says how to name one', async (t) => {
    const name = 'test/routes/mocks.test.ts';
    const nothing = { status: 1, stderr: /^No test ran\. For one test of a file: TAP_GREP=/ };
    t.match(run('test/routes/empty.test.ts'), nothing);
    t.match(runWith('TAP_GREP=inner', name), nothing);
    t.match(runWith('TAP_GREP=group\ninner', name), { status: 0, stdout: /ok 1 - An inner one/ });
    t.match(runWith('TAP_GREP=group\nnone', name), { status: 0 }, 'the group itself ran');
  });

  await t.test('npm test replaces the modules that t.mockImport names', async (t) => {
    t.match(run('test/routes/mocks.test.ts'), { status: 0, stdout: /ok 1 - A mock/ });
  });

  await t.test('npm test refuses a flag and its value without "="', async (t) => {
    t.match(run('--reporter', 'terse'), { status: 1, stderr: /Write a value after "="/ });
  });
});

test('npm run test:watch runs the tests affected by a change', async (t) => {
  const folder = await copyScripts(t);
  const child = spawn('env', readCommand('test:watch', []), { cwd: folder, detached: true });
  t.teardown(() => isRunning(-child.pid!) && process.kill(-child.pid!, 'SIGKILL'));
  const lines: string[] = [];
  createInterface(child.stdout).on('line', (line) => lines.push(line));
  await poll(() => lines.some((line) => line.startsWith('Watching')));
  const change = async (file: string, text: string, line: string) => {
    lines.length = 0;
    await writeFiles(folder, { [file]: text });
    await poll(() => lines.some((found) => found.startsWith(line)));
  };
  await change('plugins/deep/index.ts', ' ', 'ok 1 - One is one');
  t.ok(lines.includes('# test/plugins/deep/passes.test.ts'));
  await change('test/routes/fails.test.ts', PASSES, 'ok 1 - One is one');
  t.ok(lines.includes('# test/routes/fails.test.ts'));
  await change('routes/page.html', '', '# test/routes/passes.test.ts');
  await change('scripts/other.ts', ' ', 'No test concerns scripts/other.ts');
  await change('jobs/other.ts', '', 'No test concerns jobs/other.ts');

  const readPid = () => Number(/^pid (\d+)/m.exec(lines.join('\n'))?.[1]);
  await change('test/routes/endless.test.ts', ENDLESS, 'pid');
  const earlier = readPid();
  await change('test/routes/endless.test.ts', ENDLESS, 'pid');
  await poll(() => !isRunning(earlier));
  process.kill(-child.pid!, 'SIGINT');
  await poll(() => !isRunning(readPid()));
});

test('npm run test:watch finds the tests of every source', (t) => {
  const concerned: [string, string][] = [
    ['routes\\notes\\store.ts', 'test/routes/notes.test.ts'],
    ['jobs/expire-notes.ts', 'test/jobs/notes.test.ts'],
    ['src/drain.ts', 'test/src/listener.test.ts'],
    ['src/migrations/none.ts', 'test/src/app.test.ts'],
    ['routes/notes/page.html', 'test/routes/notes.test.ts'],
    ['plugins/cors.json', 'test/plugins/cors.test.ts'],
    ['scripts/dev/attached.ts', 'test/scripts/dev-attached.test.ts'],
  ];
  for (const [file, name] of concerned) t.ok(findConcerned([file]).includes(name), file);
  t.notOk(findConcerned(['src/drain.ts']).includes('test/routes/notes.test.ts'));
  t.strictSame(findConcerned(['test/services/redis.test.ts']), []);
  t.end();
});

test('npm run dev and test:watch ignore the locks and copies of editors', (t) => {
  for (const file of ['.store.ts.swp', 'notes/.#store.ts', 'notes/#store.ts#', 'store.ts~'])
    t.ok(isTemporary(file), file);
  for (const file of ['store.ts', 'notes/store.ts', 'notes\\store.ts', ''])
    t.notOk(isTemporary(file), file);
  t.end();
});

test('npm test -- test runs each test once, without those that need servers', (t) => {
  const tests = findTests(['test']);
  t.ok(tests.includes('test/routes/notes.test.ts'));
  t.notOk(tests.includes('test/routes.test.ts'));
  t.notOk(tests.some((file) => file.startsWith('test/services/')));
  t.ok(findTests(['test/services']).length > 0);
  t.end();
});

test('npm test -- FILE builds the app for the tests that run it', async (t) => {
  const folder = await createFolder(t);
  await writeFiles(folder, { 'services/passes.test.ts': PASSES });
  t.notOk(isBuildNeeded([path.join(folder, 'services/passes.test.ts')]));
  t.notOk(isBuildNeeded(['test/routes/welcome.test.ts']));
  t.ok(isBuildNeeded(['test/process/web.test.ts']));
  t.ok(isBuildNeeded([path.join(ROOT, 'test/services/redis.test.ts')]));
});

test('npm test builds the plugins of tap only if they are missing', async (t) => {
  const folder = await createFolder(t);
  const app = path.join(folder, 'packages/app');
  for (const name of ['scripts', 'src/lines.ts'])
    await cp(path.join(ROOT, name), path.join(app, name), { recursive: true });
  await writeFiles(app, { 'test/passes.test.ts': PASSES });
  const run = () =>
    spawnSync(process.execPath, ['scripts/test.ts', 'test/passes.test.ts'], {
      cwd: app,
      encoding: 'utf8',
      env: { PATH: '/none' },
    });
  await writeFiles(folder, { 'node_modules/@tapjs/test/package.json': '{}' });
  t.match(run(), { status: 127, stdout: '' }, 'a failed build ends npm test');
  await rm(path.join(folder, 'node_modules'), { recursive: true });
  await symlink(path.join(ROOT, 'node_modules'), path.join(folder, 'node_modules'));
  t.match(run(), { status: 0, stderr: '' }, 'those of a workspace are in a parent folder');
});
