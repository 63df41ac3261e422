import { runTests } from './group.ts';

// Each opened database adds a listener for the exit.
process.setMaxListeners(50);

// Opening the first database takes a second per process, so these tests share one.
await runTests(['{routes,jobs,plugins/database}/**/*.test.ts']);
