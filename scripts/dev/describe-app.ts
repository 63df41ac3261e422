import { existsSync } from 'node:fs';
import { styleText } from 'node:util';
import manifest from '../../package.json' with { type: 'json' };
import { hideSecrets } from '../../src/redaction.ts';
import { readEnvironment } from './settings.ts';

/** Lists the app's URLs, the attached services, and the folders to edit. */
export async function describeApp(url: string): Promise<string> {
  const attached = await listAttached();
  const places = [
    ['App', styleText('cyan', url)],
    ...(existsSync('plugins/docs.ts') || existsSync('plugins/docs')
      ? [['API', styleText('cyan', `${url}/docs`)]]
      : []),
    ...attached.map(([name, value]) => [
      name,
      value ? hideSecrets(value) : styleText('dim', 'not attached'),
    ]),
    ['Edit', 'routes/  plugins/  jobs/  .env'],
  ];
  const rows = places.map(([name = '', value]) => `  ${name.padEnd(16)}${value}\n`);
  return `\n  ${styleText('bold', `${manifest.name} ${manifest.version}`)}\n\n${rows.join('')}\n`;
}

/** The service and the value of each setting that is a URL. */
async function listAttached(): Promise<[string, string | undefined][]> {
  const environment = readEnvironment();
  // Imported only here, so that it does not delay the start of the app.
  const { gatherSettings } = await import('../../plugins/env/index.ts');
  const names = Object.keys(await gatherSettings([new URL('../../plugins/', import.meta.url)]));
  return names
    .filter((name) => name.endsWith('_URL'))
    .map((name) => [nameService(name), environment[name]]);
}

/** BACKING_APP_URL becomes "Backing app". */
function nameService(setting: string): string {
  const words = setting.replace(/_URL$/, '').replaceAll('_', ' ').toLowerCase();
  return words.charAt(0).toUpperCase() + words.slice(1);
}
