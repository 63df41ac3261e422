import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import createError from '@fastify/error';
import type { FastifyInstance } from 'fastify';
import { sql } from 'kysely';
import type { PgBoss } from 'pg-boss';
import { Type } from 'typebox';
import type { DatabaseDriver } from '../plugins/database/index.ts';
import type { SendOptions } from '../plugins/jobs.ts';
import { storableText } from '../plugins/validation/schemas.ts';
import { findMisfit } from './job-catalog.ts';

const BadOptions = createError<[string, string]>('BAD_OPTIONS', 'The job %s cannot be sent: %s.');

/** What a job can be sent with: it begins in ten years at most, and its key fits into an index. */
const Limits = Type.Object({
  after: Type.Number({ maximum: 10 * 365 * 24 * 60 * 60 * 1_000 }),
  key: storableText({ maxLength: 500 }),
});

/** How long a job waits for the embedded database's one connection, in milliseconds. */
const CONNECTION_TIMEOUT_MS = 5_000;

/** Puts jobs into the queue. pg-boss is loaded when the first is sent. */
export class JobSender {
  readonly #app: FastifyInstance;
  #driver: DatabaseDriver | undefined;
  #boss: Promise<PgBoss> | undefined;

  constructor(app: FastifyInstance) {
    this.#app = app;
    this.#driver = app.databasePool && { pool: app.databasePool };
  }

  /** The database, opened where it is embedded. */
  async open(): Promise<DatabaseDriver> {
    if (!this.#driver) await sql`select 1`.execute(this.#app.db);
    return this.#driver as DatabaseDriver;
  }

  /** Called as the embedded database opens, before a transaction can hold its one connection. */
  use(driver: DatabaseDriver, boss: PgBoss): void {
    this.#driver = driver;
    this.#boss = Promise.resolve(boss);
  }

  /** @returns the job's id, or null where one with the same key waits already */
  async send(
    name: string,
    data: object,
    { after = 0, key, transaction }: SendOptions,
  ): Promise<string | null> {
    // Of the jobs without a key, the queue would let one wait.
    const singletonKey = key ?? randomUUID();
    checkOptions(name, after, singletonKey);
    const boss = await this.#start();
    if (!transaction) await this.#waitForConnection();
    const { fromKysely } = await import('pg-boss');
    return boss.send(name, data, {
      singletonKey,
      startAfter: after instanceof Date ? after : after / 1_000,
      ...(transaction && { db: fromKysely(transaction) }),
    });
  }

  async close(): Promise<void> {
    await (await this.#boss)?.stop({ graceful: false, close: false });
  }

  async #start(): Promise<PgBoss> {
    const driver = await this.open();
    this.#boss ??= startBoss(driver, this.#app);
    return this.#boss.catch((error) => {
      this.#boss = undefined;
      throw error;
    });
  }

  /** A send inside a transaction, but not as a part of it, would wait for itself. */
  async #waitForConnection(): Promise<void> {
    if (!this.#driver || !('pglite' in this.#driver)) return;
    const late = sleep(CONNECTION_TIMEOUT_MS, undefined, { ref: false }).then(() => {
      throw new Error(
        'A transaction holds the one connection of the embedded database. Inside it, send the job with { transaction }.',
      );
    });
    await Promise.race([this.#driver.pglite.query('select 1'), late]);
  }
}

async function startBoss(driver: DatabaseDriver, { log }: FastifyInstance): Promise<PgBoss> {
  const { createBoss, SENDER } = await import('./job-storage.ts');
  return createBoss(driver, SENDER, (err) => log.debug({ err }, err.message)).start();
}

function checkOptions(name: string, after: Date | number, key: string): void {
  const options = { after: after instanceof Date ? after.getTime() - Date.now() : after, key };
  const misfit = findMisfit(Limits, options, 'options');
  if (misfit) throw new BadOptions(name, misfit);
}
