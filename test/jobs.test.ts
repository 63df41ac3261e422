import { runTests } from './group.ts';

await runTests(['jobs/**/*.test.ts']);
