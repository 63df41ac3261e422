import { spawn, spawnSync } from 'node:child_process';
import { cp, symlink } from 'node:fs/promises';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { type Test, test } from 'tap';
import { createFolder, poll, ROOT, writeFiles } from '../../test/helper.ts';

const PASSES = `import { test } from 'tap';
test('One is one', async (t) => t.equal(1, 1));
`;
const FAILS = `import { test } from 'tap';
test('One is two', async (t) => t.equal(1, 2));
`;

/** Copies the scripts and some tests. */
async function copyScripts(t: Test): Promise<string> {
  const folder = await createFolder(t);
  for (const name of ['scripts', 'package.json', '.taprc'])
    await cp(path.join(ROOT, name), path.join(folder, name), { recursive: true });
  await symlink(path.join(ROOT, 'node_modules'), path.join(folder, 'node_modules'));
  await writeFiles(folder, {
    'test/routes/passes.test.ts': PASSES,
    'test/routes/fails.test.ts': FAILS,
    'test/plugins/deep/passes.test.ts': PASSES,
    'plugins/deep/index.ts': '',
    'routes/other.ts': '',
  });
  return folder;
}

/** `env -i` removes the variables that tap adds to each child to measure coverage. */
function readCommand(script: string, parameters: string[]): string[] {
  const variables = ['-i', `PATH=${process.env.PATH}`, `HOME=${process.env.HOME}`];
  return [...variables, 'npm', 'run', '--silent', script, '--', ...parameters];
}

test('npm test -- FILE', async (t) => {
  const folder = await copyScripts(t);
  const run = (...parameters: string[]) =>
    spawnSync('env', readCommand('test', parameters), { cwd: folder, encoding: 'utf8' });

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
});

test('npm run test:watch runs the tests affected by a change', async (t) => {
  const folder = await copyScripts(t);
  const child = spawn('env', readCommand('test:watch', []), { cwd: folder, detached: true });
  t.teardown(() => process.kill(-child.pid!, 'SIGKILL'));
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
  await change('routes/other.ts', ' ', 'No test concerns routes/other.ts');
});
