import { runTests } from './group.ts';

await runTests(['plugins/database/**/*.test.ts']);
