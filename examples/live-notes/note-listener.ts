import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import type { FastifyInstance } from 'fastify';
import type { Pool } from 'pg';
import { createPool } from '../../plugins/database/postgres.ts';

/** The pause before the next try while the server is down, in milliseconds. */
const RETRY_MS = 500;

/**
 * How often the connection is checked, in milliseconds. A connection can break without an error,
 * and then brings no notifications.
 */
const CHECK_MS = 15_000;

/** How long connecting and a statement may take, in milliseconds. */
const TIMEOUT_MS = 5_000;

/**
 * Listens for PostgreSQL's notifications on a separate connection, and reconnects when it ends.
 *
 * @param onNews is called for each notification, and each time that listening starts, because
 * earlier notifications were missed
 */
export async function listenForNotes(app: FastifyInstance, onNews: () => void): Promise<void> {
  const { DATABASE_DIRECT_URL, DATABASE_URL, DATABASE_TLS } = app.config;
  const pool = createPool(
    DATABASE_DIRECT_URL ?? DATABASE_URL,
    DATABASE_TLS,
    { max: 1, connectionTimeoutMillis: TIMEOUT_MS, query_timeout: TIMEOUT_MS },
    () => undefined,
  );
  let isAway = false;
  const onBegin = () => {
    if (isAway) app.log.info('The notifications of the notes are back');
    isAway = false;
    onNews();
  };
  while (!app.stopping.aborted) {
    const err = await listen(pool, onBegin, onNews, app.stopping).catch((error) => error);
    if (app.stopping.aborted) break;
    if (!isAway)
      app.log.warn({ err }, 'Cannot listen for notifications of the notes: trying again');
    isAway = true;
    await sleep(RETRY_MS, undefined, { signal: app.stopping }).catch(() => undefined);
  }
  await pool.end();
}

/** @throws when the connection breaks, or when the process stops */
async function listen(
  pool: Pool,
  onBegin: () => void,
  onNews: () => void,
  signal: AbortSignal,
): Promise<never> {
  const client = await pool.connect();
  const check = setInterval(() => client.query('select 1').catch(() => undefined), CHECK_MS);
  try {
    client.on('notification', onNews);
    await client.query('listen note_events');
    onBegin();
    await once(client, 'end', { signal });
    throw new Error('The connection has ended');
  } finally {
    clearInterval(check);
    client.release(true);
  }
}
