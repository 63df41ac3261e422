import { test } from 'tap';
import { buildTestApp } from '../helper.ts';
import { testNotes } from './notes-suite.ts';

test('On the embedded database', async (t) => {
  // The suite asks more often than one client may in a minute.
  await testNotes(t, await buildTestApp(t, { RATE_LIMIT_MAX: '0' }));
});
