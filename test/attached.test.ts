import { runTests } from './group.ts';

// In these tests, attached services are slow or down, which takes time but no processor.
await runTests(['plugins/{backing-app,readiness,redis}.test.ts'], 4);
