import { execFile } from 'node:child_process';
import { mkdir, readFile, symlink, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { findForemanPorts, RunningForeman, waitUntilReady } from '../../proof/examples/foreman.ts';
import { Replay, readSteps } from '../../proof/examples/readme.ts';
import { makeFolder } from '../../proof/processes.ts';

const execute = promisify(execFile);

const FOLDER = import.meta.dirname;
const ROOT = path.join(FOLDER, '../..');

/** The ports in the README and the Procfile. */
const SHOWN = [5000, 5100];

const steps = readSteps(path.join(FOLDER, 'README.md'), 'console', '$ ');
const starts = readSteps(path.join(FOLDER, 'README.md'), 'sh', 'HOST=').map(
  ({ input }) => `HOST=${input}`,
);

for (const command of starts) {
  test(`${command} starts two apps that answer what the README shows`, async () => {
    const ports = await findForemanPorts();
    const replace = (text: string) =>
      SHOWN.reduce(
        (other, port, position) =>
          other.replaceAll(`localhost:${port}`, `localhost:${ports[position]}`),
        text,
      );
    const folder = await copyExample(replace);
    await using foreman = new RunningForeman(command, folder, { PORT: `${ports[0]}` });
    for (const port of ports) await waitUntilReady(`http://localhost:${port}`, foreman.process);
    await new Replay().run(
      steps,
      async (step) => (await execute('sh', ['-c', replace(step)])).stdout,
    );
  });
}

/** A copy of the example with other ports, beside the app and the tools as in the template. */
async function copyExample(replace: (text: string) => string): Promise<string> {
  const root = await makeFolder('two-apps');
  const folder = path.join(root, 'examples/two-apps');
  await mkdir(folder, { recursive: true });
  await writeFile(
    path.join(folder, 'Procfile'),
    replace(await readFile(path.join(FOLDER, 'Procfile'), 'utf8')),
  );
  for (const name of ['node_modules', 'src', 'examples/node_modules', 'examples/package.json'])
    await symlink(path.join(ROOT, name), path.join(root, name));
  return folder;
}
