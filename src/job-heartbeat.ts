import type { FastifyInstance } from 'fastify';
import type { JobWithMetadata, PgBoss } from 'pg-boss';
import { isFull } from '../plugins/database/check.ts';
import type { OutageLog } from './job-outage.ts';

/** Without heartbeats, another worker takes the running jobs. They may hold the whole pool. */
export async function sendHeartbeats(
  boss: PgBoss,
  { databasePool: pool, databaseSpare: spare }: FastifyInstance,
  queues: string[],
  running: JobWithMetadata[],
  outage: OutageLog,
): Promise<void> {
  // The server may refuse one more connection.
  const executeSql = (text: string, values: unknown[]) =>
    spare!.query(text, values).catch(() => pool!.query(text, values));
  const options = pool && isFull(pool) ? { db: { executeSql } } : {};
  // One after the other, because few queries may wait for the spare connection.
  for (const queue of queues) {
    const jobs = running.filter(({ name }) => name === queue);
    const part = `${queue} heartbeat`;
    if (jobs.length === 0) outage.end(part);
    else await outage.watch(part, boss.touch(queue, jobs, options));
  }
}
