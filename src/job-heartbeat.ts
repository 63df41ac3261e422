import type { FastifyInstance } from 'fastify';
import type { JobWithMetadata, PgBoss } from 'pg-boss';
import { isFull } from '../plugins/database/pool-use.ts';
import type { OutageLog } from './job-outage.ts';

/** Seconds between heartbeats of a running job. If three are missing, its worker counts as dead. */
export const HEARTBEAT_S = 5;

/** Without heartbeats, another worker takes the running jobs. They may hold the whole pool. */
export async function sendHeartbeats(
  boss: PgBoss,
  { databasePool: pool, databaseSpare: spare, config }: FastifyInstance,
  queues: string[],
  running: JobWithMetadata[],
  outage: OutageLog,
): Promise<void> {
  let db = spare!;
  const executeSql = (text: string, values: unknown[]) =>
    db.query(text, values).catch(() => {
      // The server may refuse one more connection, or not answer. Each such wait takes seconds.
      db = pool!;
      return db.query(text, values);
    });
  // Other processes may use up the pooler between DATABASE_URL and the server.
  const isBlocked = pool && (config.DATABASE_DIRECT_URL || isFull(pool));
  const options = isBlocked ? { db: { executeSql } } : {};
  // One after the other, because few queries may wait for the spare connection.
  for (const queue of queues) {
    const jobs = running.filter(({ name }) => name === queue);
    const part = `${queue} heartbeat`;
    if (jobs.length === 0) outage.end(part);
    else await outage.watch(part, boss.touch(queue, jobs, options));
  }
}
