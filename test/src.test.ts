import { runTests } from './group.ts';

await runTests(['src/**/!(cluster|*process).test.ts']);
