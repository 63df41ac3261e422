import { runTests } from './group.ts';

await runTests([
  'plugins/!(backing-app|readiness|redis|job*).test.ts',
  'plugins/!(database|telemetry)/**/*.test.ts',
]);
