import { runTests } from './group.ts';

// These copy the sources or the built app, and run what they copied.
await runTests(['process/{build,dev,dev-*}.test.ts'], 3);
