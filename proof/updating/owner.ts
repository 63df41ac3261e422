import { rm } from 'node:fs/promises';
import path from 'node:path';
import { pickRemovals, readRemovals } from '../../scripts/new/removals.ts';
import { makeFolder } from '../processes.ts';
import type { Repository } from './repository.ts';

/** How an app is created from the template: with its history, or with "Use this template". */
export type Origin = 'git clone' | 'Use this template';

/** Creates an app from the current template and makes the usual changes. */
export async function createApp(template: Repository, origin: Origin): Promise<Repository> {
  const app = await template.clone(path.join(await makeFolder('owner'), 'app'));
  if (origin === 'Use this template') {
    await rm(path.join(app.folder, '.git'), { recursive: true });
    await app.init('Begin with the template');
    // The app's tag of the same name must not conflict with the template's.
    await app.run('git tag v0.2.0');
  }
  await removeExample(app);
  await app.run('npm run new resource books');
  await changeName(app);
  await app.commit('Make it a library');
  return app;
}

async function removeExample(app: Repository): Promise<void> {
  for (const { commands } of pickRemovals(readRemovals(app.read('README.md')), ['notes']))
    for (const command of commands) await app.run(command);
}

async function changeName(app: Repository): Promise<void> {
  for (const file of ['package.json', 'package-lock.json'])
    app.write(file, app.read(file).replaceAll('"name": "poort"', '"name": "library"'));
  app.write(
    'package.json',
    app.read('package.json').replace(/"version": "[^"]+"/, '"version": "3.1.4"'),
  );
  app.write('README.md', app.read('README.md').replace(/^# .*/, '# Library'));
  await app.run('npm run format');
}
