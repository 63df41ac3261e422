import { once } from 'node:events';
import http from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { readStatus } from './web.ts';

/** How many clients send at once, each on a connection of its own. */
const CLIENTS = 16;

/**
 * The longest pause of a client between two requests, in milliseconds: connections are used again
 * at every age.
 */
const PAUSE_MS = 25;

/**
 * The pause of the monitor between two questions, in milliseconds: nginx picks the server that each
 * goes to.
 */
const MONITOR_PAUSE_MS = 10;

/** One request of the load and what became of it. */
export interface Attempt {
  method: 'GET' | 'POST';
  path: string;
  /** What a POST has written, to be found again. */
  title?: string;
  /** The id that every layer has logged it under. */
  requestId: string;
  /** Since 1970, in milliseconds. */
  sentAt: number;
  /** The answer's status; missing where there was no whole answer. */
  status?: number;
  body?: string;
  /** Why there was none. */
  error?: string;
}

/**
 * Clients that send GETs and POSTs, half and half, over keep-alive connections until they are
 * stopped. Each request is sent once: nothing here tries again.
 */
export class Load {
  readonly attempts: Attempt[] = [];
  readonly #url: string;
  readonly #prefix: string;
  readonly #clients: Promise<void>[];
  #stopped = false;

  /** @param prefix what the titles of all notes begin with */
  constructor(url: string, prefix: string) {
    this.#url = url;
    this.#prefix = prefix;
    this.#clients = Array.from({ length: CLIENTS }, () => this.#runClient());
  }

  /** Resolves when a POST that is sent from now on is acknowledged. */
  async waitForWrite(): Promise<void> {
    const from = this.attempts.length;
    while (!this.attempts.slice(from).some(({ status }) => status === 201)) await sleep(10);
  }

  /** Lets every client have its last answer. */
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

/**
 * What a platform has watch nginx, which has no health checks of its own: it asks for the readiness
 * again and again.
 */
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

/** Sends a request once and notes in it what came back. */
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
