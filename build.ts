import { spawnSync } from 'node:child_process';
import { cpSync, rmSync } from 'node:fs';

/*
 * `npm run build`. What was built before goes first: a route that was deleted would be loaded from dist/ for ever.
 */
rmSync('dist', { recursive: true, force: true });

const { status } = spawnSync('tsc -p tsconfig.build.json', { stdio: 'inherit', shell: true });
if (status !== 0) process.exit(1);

// Swagger UI is a development dependency of twelve megabytes, of which the API's page needs these two files.
for (const file of ['swagger-ui.css', 'swagger-ui-bundle.js']) {
  cpSync(`node_modules/swagger-ui-dist/${file}`, `dist/swagger-ui/${file}`);
}
