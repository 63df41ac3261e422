import { runTests } from './group.ts';

await runTests(['{routes,jobs}/**/*.test.ts']);
