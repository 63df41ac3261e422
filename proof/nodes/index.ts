// The built app on Node 22, 24 and 26 of npm, and on the machine's own Node, with PostgreSQL
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import path from 'node:path';
import manifest from '../../package.json' with { type: 'json' };
import { buildApp } from '../build.ts';
import { readProcfile } from '../buildpack/index.ts';
import { provePass } from '../buildpack/slug.ts';
import { copyTree } from '../docs/copy.ts';
import { expectSuccess } from '../docs/shell.ts';
import { PostgresServer } from '../postgres.ts';
import { makeFolder } from '../processes.ts';
import type { Tally } from '../tally.ts';

/** Versions of the npm package `node`: that of package.json and the other maintained ones. */
const VERSIONS = ['22', '24', manifest.engines.node];

/** The tests that start the built app, stop it and read its log. */
const TESTS = ['start', 'stop', 'log'].map((name) => `proof/contract/${name}.test.ts`);

interface Installed {
  file: string;
  version: string;
  /** The name of an LTS release, according to Node itself. */
  lts: string | undefined;
}

export async function prove(tally: Tally): Promise<void> {
  await using postgres = await PostgresServer.create();
  const tree = await copyTree('nodes');
  await expectSuccess(tree, 'npm run build');
  const nodes: Installed[] = [];
  for (const version of VERSIONS)
    await tally.check(`Node ${version}: the built app starts, stops and logs`, async () => {
      const node = await install(version);
      nodes.push(node);
      return await proveTests(tree, node);
    });
  await tally.check("The machine's own Node runs release and web, and serves notes", () =>
    proveMachine(postgres),
  );
  await tally.check('engines.node is the newest LTS', async () =>
    proveLts([...nodes, await install('latest')]),
  );
}

async function install(version: string): Promise<Installed> {
  const folder = await makeFolder('node');
  const environment = Object.entries(process.env).filter(([name]) => !name.startsWith('npm_'));
  const command = `npm install --no-audit --no-fund --prefix ${folder} node@${version}`;
  await expectSuccess(folder, command, Object.fromEntries(environment));
  return inspect(path.join(folder, 'node_modules/node/bin/node'));
}

function inspect(file: string): Installed {
  const output = execFileSync(file, [
    '-p',
    'JSON.stringify([process.versions.node, process.release.lts])',
  ]);
  const [version, lts] = JSON.parse(`${output}`);
  return { file, version, lts: lts ?? undefined };
}

async function proveTests(tree: string, { file, version, lts }: Installed): Promise<string> {
  const { PATH, HOME } = process.env;
  // tap's default time-out of 30 s per file is too short for a busy machine.
  const environment = { PATH, HOME, TEST_NODE: file, TAP_TIMEOUT: '600' };
  for (const test of TESTS) await expectSuccess(tree, `node ${test}`, environment);
  const release = lts ? `LTS ${lts}` : 'not an LTS according to itself';
  return `${version}, ${release}, ${TESTS.length} test files`;
}

async function proveMachine(postgres: PostgresServer): Promise<string> {
  const folders = (process.env.PATH ?? '')
    .split(':')
    .filter((folder) => !folder.includes('node_modules'));
  const search = folders.join(':');
  const { version } = inspect(
    execFileSync('which', ['node'], { encoding: 'utf8', env: { PATH: search } }).trim(),
  );
  if (Number.parseInt(version, 10) < Number(VERSIONS[0]))
    return `${version} is too old for the built app`;
  const folder = buildApp();
  const slug = { folder, path: search, procfile: readProcfile(folder) };
  return `${version}: ${await provePass(slug, postgres)}`;
}

/** Checks `process.release.lts`, which a major version has from its first October on. */
function proveLts(nodes: Installed[]): string {
  const major = ({ version }: Installed) => Number(version.split('.')[0]);
  const pinned = nodes.find((node) => `${major(node)}.x` === manifest.engines.node);
  assert(pinned, `there is no Node ${manifest.engines.node}`);
  const newest = Math.max(...nodes.filter(({ lts }) => lts).map(major));
  assert(
    newest <= major(pinned),
    `Node ${newest} is an LTS, engines.node is ${manifest.engines.node}`,
  );
  return pinned.lts
    ? `${pinned.version}, ${pinned.lts}`
    : `${pinned.version} is NOT AN LTS YET; ${newest} is one`;
}
