import type { FastifyBaseLogger } from 'fastify';
import fp from 'fastify-plugin';

/** How long one check may take, in milliseconds: all run at once, and a second is the limit. */
const CHECK_TIMEOUT_MS = 800;

/** How long a report is given again, in milliseconds: asking often does not load the services. */
const REPORT_AGE_MS = 1_000;

/** A backing service as readiness sees it. */
export interface BackingService {
  name: string;
  /** Without a required service the app is unavailable, without another it is degraded. */
  required: boolean;
  /** Resolves when the service answers; what it rejects with is logged. */
  check(): Promise<unknown>;
  /** What is to be done for it at each release; resolves with the names of the steps taken. */
  release?(): Promise<string[]>;
}

export interface ReadinessReport {
  status: 'ready' | 'degraded' | 'unavailable' | 'draining';
  services: Record<string, { status: 'up' | 'down' }>;
}

declare module 'fastify' {
  interface FastifyInstance {
    readiness: Readiness;
  }
}

/** Knows whether the app can serve: do its services answer, and is the process stopping? */
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

  /** Adds a service to the report, named as it shall be shown. */
  attach(service: BackingService): void {
    this.#services.push(service);
  }

  /** Prepares all services for this version of the app, in turn, and logs it: `release`. */
  async release(): Promise<string[]> {
    const applied: string[] = [];
    for (const service of this.#services) applied.push(...((await service.release?.()) ?? []));
    const steps = applied.join(', ');
    this.#log.info({ applied }, steps ? `Applied ${steps}` : 'Nothing to apply');
    return applied;
  }

  /** Asks all services, once a second at most. Takes less than a second and never rejects. */
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
      await withTimeout(service.check());
      if (this.#down.delete(name)) this.#log.info({ service: name }, `${name} is back`);
    } catch (err) {
      if (!this.#down.has(name)) this.#log.warn({ service: name, err }, `${name} is down`);
      this.#down.add(name);
    }
  }
}

async function withTimeout(check: Promise<unknown>): Promise<void> {
  const { promise: late, reject } = Promise.withResolvers();
  const error = new Error(`No answer within ${CHECK_TIMEOUT_MS} ms`);
  const timer = setTimeout(reject, CHECK_TIMEOUT_MS, error);
  await Promise.race([check, late]).finally(() => clearTimeout(timer));
}

export default fp(async (app) => void app.decorate('readiness', new Readiness(app.log)), {
  name: 'readiness',
});
