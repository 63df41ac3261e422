import { existsSync, renameSync } from 'node:fs';
import { lockFolder, readFolder } from '../plugins/database/embedded-folder.ts';

/* `npm run db:reset`: moves the embedded database's folder aside. */

const { DATABASE_URL: url = '' } = process.env;
const folder = readFolder(url);

try {
  if (!url.startsWith('pglite:') || url === 'pglite:memory')
    throw new Error('DATABASE_URL is not an embedded database in a folder: nothing is done.');
  if (!existsSync(folder)) throw new Error(`${folder} does not exist: nothing is done.`);
  await lockFolder(folder);
  const aside = `${folder}-${new Date().toISOString().replaceAll(/[-:]|\..*/g, '')}`;
  renameSync(folder, aside);
  console.log(`${folder} is now ${aside}. The next start creates a new database.`);
} catch (error) {
  console.error((error as Error).message);
  process.exit(1);
}
