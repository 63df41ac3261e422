import { test } from 'tap';
import { DOWN, spawnProcess } from '../../helper.ts';

test('The built app does not have the issuer of development, and says so', async (t) => {
  const environment = {
    DATABASE_URL: DOWN,
    AUTH_ISSUER_URL: 'local:.data/issuer',
    AUTH_AUDIENCE: 'poort',
  };
  for (const entry of ['web', 'worker', 'release'] as const) {
    const { exited, lines, noise } = spawnProcess(t, { entry, environment });
    t.equal(await exited, 1, entry);
    t.match(JSON.stringify([lines, noise]), /AUTH_ISSUER_URL is.*the built app does not have it/);
  }
});
