import { existsSync, readFileSync } from 'node:fs';
import { styleText } from 'node:util';
import manifest from '../../package.json' with { type: 'json' };
import { listAttached } from './attached.ts';
import { readEnvironment } from './settings.ts';

/** Lists the app's URLs, the attached services, and the folders to edit. */
export function describeApp(url: string): string {
  const example = existsSync('.env.example') ? readFileSync('.env.example', 'utf8') : '';
  const attached = listAttached(example, readEnvironment());
  const places = [
    ['App', styleText('cyan', url)],
    ...(existsSync('plugins/docs.ts') || existsSync('plugins/docs')
      ? [['API', styleText('cyan', `${url}/docs`)]]
      : []),
    ...attached.map(([name, place]) => [name, place ?? styleText('dim', 'not attached')]),
    ['Edit', 'routes/  plugins/  jobs/  .env'],
  ];
  const width = Math.max(...places.map(([name = '']) => name.length)) + 2;
  const rows = places.map(([name = '', value]) => `  ${name.padEnd(width)}${value}\n`);
  return `\n  ${styleText('bold', `${manifest.name} ${manifest.version}`)}\n\n${rows.join('')}\n`;
}
