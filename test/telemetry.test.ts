import { runTests } from './group.ts';

// These wait for collectors, one after the other, because a process has one set of instruments.
await runTests(['plugins/telemetry/*.test.ts']);
