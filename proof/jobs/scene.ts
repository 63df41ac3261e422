import assert from 'node:assert/strict';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { buildApp } from '../../src/app.ts';
import { createLogger } from '../../src/logger.ts';
import { PostgresServer } from '../postgres.ts';
import { findPort, type RunningProcess } from '../processes.ts';
import { startProgram } from '../routing/web.ts';

const JOBS = [new URL('./jobs/', import.meta.url)];

/** A PostgreSQL with the queues of this proof, and its processes. Disposing ends all. */
export class Scene implements AsyncDisposable {
  readonly postgres: PostgresServer;
  readonly #processes = new AsyncDisposableStack();

  private constructor(postgres: PostgresServer) {
    this.postgres = postgres;
  }

  static async create(): Promise<Scene> {
    const scene = new Scene(await PostgresServer.create());
    await using app = await scene.buildApp();
    await app.readiness.release();
    await scene.postgres.query(
      `create table proof_runs (key text, waited_ms bigint);
      create table proof_ticks (at timestamptz default now())`,
    );
    return scene;
  }

  /** Builds the app in this process, without taking jobs. */
  async buildApp() {
    const environment = { DATABASE_URL: this.postgres.url, LOG_LEVEL: 'warn' };
    return buildApp({ environment, jobs: JOBS, logger: createLogger({ write: () => undefined }) });
  }

  /** Starts a process type, and waits until it is ready. */
  async start(
    type: 'web' | 'worker',
    environment: NodeJS.ProcessEnv = {},
  ): Promise<RunningProcess & { url: string }> {
    const port = await findPort();
    const settings = {
      DATABASE_URL: this.postgres.url,
      RATE_LIMIT_MAX: '0',
      SHUTDOWN_DELAY_MS: '0',
      HOST: '127.0.0.1',
    };
    const args = [path.join(import.meta.dirname, `${type}.ts`)];
    const started = await startProgram({
      args,
      environment: { ...settings, ...environment, PORT: `${port}` },
    });
    this.#processes.use(started);
    return Object.assign(started, { url: `http://127.0.0.1:${port}` });
  }

  /** Queues `record` jobs with one statement; their keys begin with `key`. */
  async fill(jobs: number, key: string): Promise<void> {
    await this.postgres.query(`
      insert into pgboss.job (name, data, singleton_key, retry_limit, policy)
      select 'record', json_build_object('key', '${key} ' || n, 'sentAt', 0, 'ms', 0),
        '${key} ' || n, 100000, 'short'
      from generate_series(1, ${jobs}) as n`);
  }

  /** Resolves when this many jobs whose keys begin with `key` are done, each at least once. */
  async waitUntilDone(jobs: number, key: string, withinMs: number): Promise<void> {
    const startedAt = performance.now();
    const count = () =>
      this.count(`from (select distinct key from proof_runs where key like '${key} %') as done`);
    for (let done = await count(); done < jobs; done = await count()) {
      assert.ok(performance.now() - startedAt < withinMs, `${done} of ${jobs} jobs are done`);
      await sleep(100);
    }
  }

  async count(text: string): Promise<number> {
    const [row] = await this.postgres.query<{ count: string }>(`select count(*) ${text}`);
    return Number(row?.count);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#processes.disposeAsync();
    await this.postgres[Symbol.asyncDispose]();
  }
}
