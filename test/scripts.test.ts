import { runTests } from './group.ts';

await runTests(['scripts/**/*.test.ts']);
