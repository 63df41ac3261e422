import { runTests } from './group.ts';

// Each opened database adds a listener for the exit.
process.setMaxListeners(50);

// Opening the first database takes a second per process, so these tests share one. The second glob
// matches routes/, jobs/ and each folder that is in no other group.
await runTests([
  'plugins/database/**/*.test.ts',
  '!(fixture|plugins|process|scripts|services|src)/**/*.test.ts',
]);
