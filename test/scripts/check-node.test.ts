import { spawnSync } from 'node:child_process';
import { test } from 'tap';
import manifest from '../../package.json' with { type: 'json' };
import { ROOT } from '../helper.ts';

/** Behaves like an old Node, which runs JavaScript alone. */
const OLD_NODE = [process.execPath, '--no-strip-types'];

const SCRIPTS = Object.entries(manifest.scripts).flatMap(([name, script]) => {
  const [, command] = /^node (.*\.ts)\b/.exec(script) ?? [];
  return command ? [[name, command] as const] : [];
});

for (const [name, command] of SCRIPTS) {
  test(`npm run ${name} says in one line that Node is too old`, (t) => {
    const args = ['-i', ...OLD_NODE, ...command.split(' ')];
    const { status, stderr } = spawnSync('env', args, { cwd: ROOT, encoding: 'utf8' });
    t.equal(status, 1);
    t.match(
      stderr,
      /^(\.env not found[^\n]*\n)?Node \S+ cannot run TypeScript\. [^\n]*npm rebuild node[^\n]*\n$/,
    );
    t.end();
  });
}
