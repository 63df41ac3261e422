import { runTests } from './group.ts';

// What is attached is late or away in these tests, which takes time and no processor.
await runTests(['plugins/{backing-app,readiness,redis}.test.ts'], 4);
