import type { FastifyBaseLogger } from 'fastify';
import fp from 'fastify-plugin';
import { type Static, Type } from 'typebox';
import { limitTime } from '../src/limit-time.ts';

/** How long a check may take, in milliseconds. All run at once, so a report takes under 1 s. */
const CHECK_TIMEOUT_MS = 800;

/** How long a report is reused, in milliseconds, so that many requests do not load the services. */
const REPORT_AGE_MS = 1_000;

export interface BackingService {
  name: string;
  /** Without a required service, the app is unavailable. Without another, it is degraded. */
  required: boolean;
  /** Resolves when the service answers. If it rejects, the error is logged. */
  check(): Promise<unknown>;
  /** Prepares the service at each release, such as migrations. Resolves with the steps' names. */
  release?(): Promise<string[]>;
}

export const ReadinessReport = Type.Object(
  {
    status: Type.Enum(['ready', 'degraded', 'unavailable', 'draining']),
    services: Type.Record(Type.String(), Type.Object({ status: Type.Enum(['up', 'down']) }), {
      examples: [{ database: { status: 'up' } }],
    }),
  },
  { description: 'Whether to send requests here, and the state of attached services' },
);
export type ReadinessReport = Static<typeof ReadinessReport>;

declare module 'fastify' {
  interface FastifyInstance {
    readiness: Readiness;
  }
}

/** Reports whether the app can serve: whether its services answer, and whether it is stopping. */
export class Readiness {
  /** Set once, when the process is told to stop. */
  draining = false;
  readonly #services: BackingService[] = [];
  readonly #down = new Set<string>();
  readonly #log: FastifyBaseLogger;
  #checkedAt = Number.NEGATIVE_INFINITY;
  #checked: Promise<unknown> | undefined;

  constructor(log: FastifyBaseLogger) {
    this.#log = log;
  }

  attach(service: BackingService): void {
    this.#services.push(service);
  }

  async release(): Promise<string[]> {
    const applied: string[] = [];
    for (const service of this.#services) applied.push(...((await service.release?.()) ?? []));
    const steps = applied.join(', ');
    this.#log.info({ applied }, steps ? `Applied ${steps}` : 'Nothing to apply');
    return applied;
  }

  /** Checks all services, at most once a second. Takes less than a second and never rejects. */
  async report(): Promise<ReadinessReport> {
    if (performance.now() - this.#checkedAt > REPORT_AGE_MS) {
      this.#checkedAt = performance.now();
      this.#checked = Promise.all(this.#services.map((service) => this.#check(service)));
    }
    await this.#checked;
    const names = this.#services.map(({ name }) => name).sort();
    const services = names.map((name) => [name, { status: this.#down.has(name) ? 'down' : 'up' }]);
    return { status: this.#status(), services: Object.fromEntries(services) };
  }

  #status(): ReadinessReport['status'] {
    if (this.draining) return 'draining';
    const down = this.#services.filter(({ name }) => this.#down.has(name));
    if (down.some(({ required }) => required)) return 'unavailable';
    return down.length > 0 ? 'degraded' : 'ready';
  }

  async #check(service: BackingService): Promise<void> {
    const { name } = service;
    try {
      const late = new Error(`No answer within ${CHECK_TIMEOUT_MS} ms`);
      await limitTime(service.check(), CHECK_TIMEOUT_MS, late);
      if (this.#down.delete(name)) this.#log.info({ service: name }, `${name} is back`);
    } catch (err) {
      if (!this.#down.has(name)) this.#log.warn({ service: name, err }, `${name} is down`);
      this.#down.add(name);
    }
  }
}

export default fp(async (app) => void app.decorate('readiness', new Readiness(app.log)), {
  name: 'readiness',
});
