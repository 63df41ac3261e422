import { runTests } from './group.ts';

// Each database that a test opens has a listener for the end of the process.
process.setMaxListeners(50);

// To open the first one takes a second of a process, so what needs a database is in this one.
await runTests(['{routes,jobs,plugins/database}/**/*.test.ts']);
