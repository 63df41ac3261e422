import { once } from 'node:events';
import http from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { readStatus } from './web.ts';

/** The number of clients, each with its own connection. */
const CLIENTS = 16;

/**
 * The maximum pause between two requests of a client, in milliseconds: connections of each age are
 * reused.
 */
const PAUSE_MS = 25;

/** The pause between two checks of the monitor, in milliseconds: nginx picks the server of each. */
const MONITOR_PAUSE_MS = 10;

/** One request of the load and its result. */
export interface Attempt {
  method: 'GET' | 'POST';
  path: string;
  /** The title that a POST wrote. */
  title?: string;
  /** The request id in the log of each layer. */
  requestId: string;
  /** In milliseconds since 1970. */
  sentAt: number;
  /** The answer's status; undefined without a complete answer. */
  status?: number;
  body?: string;
  /** Why there was no complete answer. */
  error?: string;
}

/**
 * Clients that send GETs and POSTs, half and half, over keep-alive connections. Each request is
 * sent once, without retries.
 */
export class Load {
  readonly attempts: Attempt[] = [];
  readonly #url: string;
  readonly #prefix: string;
  readonly #clients: Promise<void>[];
  #stopped = false;

  /** @param prefix the beginning of all notes' titles */
  constructor(url: string, prefix: string) {
    this.#url = url;
    this.#prefix = prefix;
    this.#clients = Array.from({ length: CLIENTS }, () => this.#runClient());
  }

  /** Resolves when a POST sent from now on is acknowledged. */
  async waitForWrite(): Promise<void> {
    const from = this.attempts.length;
    while (!this.attempts.slice(from).some(({ status }) => status === 201)) await sleep(10);
  }

  /** Stops after each client's last answer. */
  async stop(): Promise<void> {
    this.#stopped = true;
    await Promise.all(this.#clients);
  }

  async #runClient(): Promise<void> {
    const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
    let path = '/notes?limit=5';
    while (!this.#stopped) {
      const attempt = this.#begin(path);
      this.attempts.push(attempt);
      await send(this.#url, attempt, agent);
      if (attempt.status === 201) path = `/notes/${JSON.parse(attempt.body!).id}`;
      await sleep(Math.random() * PAUSE_MS);
    }
    agent.destroy();
  }

  #begin(path: string): Attempt {
    const requestId = `${this.#prefix}.${this.attempts.length}`;
    const sentAt = Date.now();
    if (Math.random() < 0.5) return { method: 'GET', path, requestId, sentAt };
    return { method: 'POST', path: '/notes', title: requestId, requestId, sentAt };
  }
}

/** Checks readiness in a loop, as a platform does behind nginx, which has no health checks. */
export class Monitor {
  readonly #running: Promise<void>;
  #stopped = false;

  constructor(url: string) {
    this.#running = this.#run(`${url}/health/ready`);
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#running;
  }

  async #run(url: string): Promise<void> {
    while (!this.#stopped) {
      await readStatus(url);
      await sleep(MONITOR_PAUSE_MS);
    }
  }
}

/** Sends a request once and stores the result in `attempt`. */
export async function send(url: string, attempt: Attempt, agent: http.Agent): Promise<void> {
  const headers = { 'x-request-id': attempt.requestId, 'content-type': 'application/json' };
  const request = http.request(new URL(attempt.path, url), {
    method: attempt.method,
    agent,
    headers,
  });
  request.end(
    attempt.title && JSON.stringify({ title: attempt.title, body: 'A body of a few words' }),
  );
  try {
    const [response] = (await once(request, 'response')) as [http.IncomingMessage];
    attempt.body = await readBody(response);
    attempt.status = response.statusCode!;
  } catch (error) {
    attempt.error = `${(error as NodeJS.ErrnoException).code}: ${(error as Error).message}`;
  }
}

async function readBody(response: http.IncomingMessage): Promise<string> {
  let text = '';
  for await (const chunk of response.setEncoding('utf8')) text += chunk;
  return text;
}
