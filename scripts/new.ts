import path from 'node:path';
import { createApp } from './new/app.ts';
import { createResource } from './new/create-resource.ts';

const USAGE = `npm run new resource NAME [SINGULAR]

  A resource: its routes, its table, its test.
  NAME      plural and in kebab-case: books, order-items
  SINGULAR  needed if the plural is irregular: npm run new resource people person

npm run new app NAME [without CAPABILITY …]

  Turns this clone into your app, with its name and only the capabilities that it needs.
  CAPABILITY  a name of the README's table: npm run new app book-shop without notes redis`;

const ROOT = path.join(import.meta.dirname, '..');

const [kind, name = '', ...rest] = process.argv.slice(2);

try {
  if (kind === 'resource' && name && rest.length < 2)
    console.log(createResource(name, rest[0]).join('\n  '));
  else if (kind === 'app' && name && name !== 'without') printApp();
  else rejectWith(USAGE);
} catch (error) {
  rejectWith((error as Error).message);
}

function printApp(): void {
  createApp(ROOT, name, rest);
  console.log(`This is ${name} now. Look at it with "git diff HEAD", then:

  npm install && npm run check
  git add --all && git commit -m "Begin with the template"

Yours to write: the description and the license in package.json, LICENSE, and the first lines of
README.md.`);
}

function rejectWith(message: string): never {
  console.error(message);
  process.exit(1);
}
