import { runTests } from './group.ts';

// These tests mostly wait for processes or the job queue.
await runTests(['process/*.test.ts', 'src/{cluster,*process}.test.ts', 'plugins/job*.test.ts'], 4);
