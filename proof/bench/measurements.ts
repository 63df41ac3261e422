import type { PostgresServer } from '../postgres.ts';
import { measureBoot, measureIdleMemory } from './boot.ts';
import { measureReload, measureTests } from './development.ts';
import { measureInstall } from './install.ts';
import { measureJobs } from './jobs.ts';
import { measureLatency } from './latency.ts';
import { measureNotes } from './notes.ts';
import type { Result } from './rounds.ts';
import { measureTelemetry } from './telemetry.ts';
import { measureThroughput } from './throughput.ts';
import { measureWorkers } from './workers.ts';

export interface Setting {
  rounds: number;
  /** The duration of each load, in seconds. */
  seconds: number;
  /** The server for all contestants that need one. */
  postgres: PostgresServer;
}

/** All measurements, by the names that --only takes. */
export const MEASUREMENTS: Record<string, (setting: Setting) => Promise<Result[]>> = {
  throughput: measureThroughput,
  latency: measureLatency,
  notes: measureNotes,
  boot: measureBoot,
  memory: measureIdleMemory,
  install: measureInstall,
  workers: measureWorkers,
  jobs: measureJobs,
  telemetry: measureTelemetry,
  dev: measureReload,
  test: measureTests,
};
