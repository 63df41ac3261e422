import { runTests } from './group.ts';

// These wait most of the time: for processes of their own, or for the job queue.
await runTests(['process/*.test.ts', 'src/{cluster,*process}.test.ts', 'plugins/job*.test.ts'], 4);
