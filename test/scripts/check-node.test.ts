import { spawnSync } from 'node:child_process';
import { test } from 'tap';
import manifest from '../../package.json' with { type: 'json' };
import { ROOT } from '../helper.ts';

/** Behaves like a Node that is too old: it runs JavaScript only. */
const OLD_NODE = [process.execPath, '--no-strip-types'];

for (const name of ['dev', 'test', 'test:watch', 'build', 'new', 'format'] as const) {
  test(`npm run ${name} says in one line that Node is too old`, (t) => {
    const command = /node (.*\.ts)/.exec(manifest.scripts[name])?.[1] ?? '';
    const args = ['-i', ...OLD_NODE, ...command.split(' ')];
    const { status, stderr } = spawnSync('env', args, { cwd: ROOT, encoding: 'utf8' });
    t.equal(status, 1);
    t.match(stderr, /^Node \S+ cannot run TypeScript\. [^\n]*npm rebuild node[^\n]*\n$/);
    t.end();
  });
}
