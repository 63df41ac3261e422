import { runTests } from './group.ts';

await runTests(['routes/**/*.test.ts']);
