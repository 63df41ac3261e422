import '../../src/signals.ts';
import { startWorker } from '../../src/job-listener.ts';

/** The worker process with the jobs of this proof. */
await startWorker({ jobs: [new URL('./jobs/', import.meta.url)] });
