import path from 'node:path';
import { runApp } from '../app.ts';
import { buildApp } from '../build.ts';
import { PostgresServer } from '../postgres.ts';
import { findPort, type RunningProcess } from '../processes.ts';
import { release, startProgram } from '../routing/web.ts';
import type { Receiver } from './receiver.ts';

export function attach({ url }: Receiver, protocol = 'http/protobuf'): Record<string, string> {
  return {
    OTEL_EXPORTER_OTLP_ENDPOINT: url,
    OTEL_EXPORTER_OTLP_PROTOCOL: protocol,
    OTEL_METRIC_EXPORT_INTERVAL: '500',
    RATE_LIMIT_MAX: '0',
  };
}

/** A PostgreSQL with the app's tables, and processes of the built app. Disposing ends all. */
export class Scene implements AsyncDisposable {
  readonly #postgres: PostgresServer;
  readonly #processes = new AsyncDisposableStack();

  private constructor(postgres: PostgresServer) {
    this.#postgres = postgres;
  }

  static async create(): Promise<Scene> {
    const postgres = await PostgresServer.create();
    await release(postgres.url);
    return new Scene(postgres);
  }

  /** Starts `web` with the routes of this proof. */
  async startWeb(
    environment: Record<string, string>,
  ): Promise<{ url: string; process: RunningProcess }> {
    const settings = await this.#describe(environment);
    const args = [path.join(import.meta.dirname, 'web.ts'), buildApp()];
    const process = await startProgram({ args, environment: settings });
    this.#processes.use(process);
    return { url: `http://127.0.0.1:${settings.PORT}`, process };
  }

  async startWorker(environment: Record<string, string>): Promise<RunningProcess> {
    return this.#processes.use(runApp('worker', await this.#describe(environment)));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#processes.disposeAsync();
    await this.#postgres[Symbol.asyncDispose]();
  }

  async #describe(environment: Record<string, string>) {
    return {
      PORT: `${await findPort()}`,
      HOST: '127.0.0.1',
      DATABASE_URL: this.#postgres.url,
      SHUTDOWN_DELAY_MS: '0',
      ...environment,
    };
  }
}

/**
 * Sends requests over twenty connections, as fast as they are answered.
 *
 * @returns the number of answers
 */
export async function load(url: string, requests: number, connections = 20): Promise<number> {
  let left = requests;
  let answered = 0;
  const client = async () => {
    while (left-- > 0) {
      const answer = await fetch(url).catch(() => undefined);
      if (!answer) return;
      await answer.arrayBuffer().catch(() => undefined);
      if (answer.status === 200) answered++;
    }
  };
  await Promise.all(Array.from({ length: connections }, client));
  return answered;
}
