import { test } from 'tap';
import { listAttached } from '../../scripts/dev/attached.ts';

test('npm run dev shows where a service is, and no secret', (t) => {
  const places: [string, string | undefined][] = [
    ['postgres://u:hunter2@db.test:5432/app?password=hunter2', 'postgres://db.test:5432'],
    ['https://hooks.test/services/hunter2', 'https://hooks.test'],
    ['postgres://u:p@hunter2/x@db.test/app', 'attached'],
    ['postgres://u:p@hunter2?x@db.test/app', 'attached'],
    ['postgres://u:hunter2@/app?host=/cloudsql/db', 'attached'],
    ['mail:hunter2', 'attached'],
    ['sqlserver://db;user=sa;password=hunter2', 'attached'],
    ['hunter2', 'attached'],
    ['pglite:.data/postgres', 'pglite:.data/postgres'],
    ['local:.data/issuer', 'local:.data/issuer'],
    ['', undefined],
  ];
  for (const [SLACK_URL, place] of places)
    t.strictSame(listAttached('SLACK_URL=', { SLACK_URL }), [['Slack', place]]);
  t.end();
});

test('npm run dev lists the URLs of .env.example, those that are commented out too', (t) => {
  const example = '# An URL=x\nPORT=1\nDATABASE_URL=a\n# BACKING_APP_URL=\n# S3_URL=\n';
  const names = listAttached(example, { OTHER_URL: 'x' }).map(([name]) => name);
  t.strictSame(names, ['Database', 'Backing app', 'S3']);
  t.end();
});
