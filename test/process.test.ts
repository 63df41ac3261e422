import { runTests } from './group.ts';

// These start processes of their own, and wait for them.
await runTests(['process/*.test.ts', 'src/{cluster,*process}.test.ts'], 4);
