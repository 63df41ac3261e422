import { runTests } from './group.ts';

await runTests(['{src,scripts}/**/!(cluster|*process).test.ts']);
