import { runTests } from './group.ts';

await runTests([
  'plugins/!(backing-app|readiness|redis).test.ts',
  'plugins/!(database|telemetry)/!(issuer).test.ts',
]);
