import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Dispatcher, Pool } from 'undici';

/** The number of clients, each with its own connection. */
const CLIENTS = 24;

/** The maximum time until a client aborts a request, in milliseconds. */
const ABORT_MS = 4;

interface Kind {
  /** The share of requests of this kind, in percent. */
  share: number;
  /** The expected statuses. */
  expected: number[];
  /** @returns the status; 0 if the client aborted */
  send(traffic: Traffic): Promise<number>;
}

/**
 * Other clients delete notes meanwhile, so a 404 is expected too. As many notes are deleted as
 * created.
 */
const KINDS: Record<string, Kind> = {
  'GET /notes': { share: 16, expected: [200], send: (traffic) => traffic.send('GET', '/notes') },
  'GET /notes/:id': {
    share: 26,
    expected: [200, 404],
    send: (traffic) => traffic.send('GET', traffic.pickNote()),
  },
  'POST /notes': { share: 18, expected: [201], send: (traffic) => traffic.create() },
  'PATCH /notes/:id': {
    share: 10,
    expected: [200, 404],
    send: (traffic) => traffic.send('PATCH', traffic.pickNote(), '{"title":"Changed"}'),
  },
  'DELETE /notes/:id': {
    share: 18,
    expected: [204, 404],
    send: (traffic) => traffic.send('DELETE', traffic.takeNote()),
  },
  'an unknown note': {
    share: 2,
    expected: [404],
    send: (traffic) => traffic.send('GET', `/notes/${randomUUID()}`),
  },
  'an unknown path': {
    share: 2,
    expected: [404],
    send: (traffic) => traffic.send('GET', `/${randomUUID()}`),
  },
  'an invalid note': {
    share: 2,
    expected: [400],
    send: (traffic) => traffic.send('POST', '/notes', '{"title":1}'),
  },
  'malformed JSON': {
    share: 2,
    expected: [400],
    send: (traffic) => traffic.send('POST', '/notes', '{"title":'),
  },
  'GET /': { share: 1, expected: [200], send: (traffic) => traffic.send('GET', '/') },
  'GET /openapi.json': {
    share: 1,
    expected: [200],
    send: (traffic) => traffic.send('GET', '/openapi.json'),
  },
  'an aborted request': { share: 2, expected: [0], send: (traffic) => traffic.abort() },
};

/** Clients that send requests of all kinds. */
export class Traffic {
  sent = 0;
  /** The number of 503s while the database was down. */
  unavailable = 0;
  /** The number of unexpected answers, by kind and status. */
  readonly wrong = new Map<string, number>();
  /** Whether the database is down, so that 503 is expected. */
  isSevered = false;
  readonly #pool: Pool;
  readonly #notes: string[] = [];

  constructor(url: string) {
    this.#pool = new Pool(url, { connections: CLIENTS });
  }

  /** Sends this many requests and resolves when the last is answered. */
  async run(requests: number): Promise<void> {
    const until = this.sent + requests;
    const runClient = async () => {
      while (this.sent < until) await this.#runKind(...pickKind());
    };
    await Promise.all(Array.from({ length: CLIENTS }, runClient));
  }

  async end(): Promise<void> {
    await this.#pool.destroy();
  }

  async send(method: Dispatcher.HttpMethod, path: string, body?: string): Promise<number> {
    const answer = await this.#pool.request({
      method,
      path,
      ...(body && { body, headers: JSON_HEADERS }),
    });
    await answer.body.dump();
    return answer.statusCode;
  }

  async create(): Promise<number> {
    const body = JSON.stringify({ title: randomUUID(), body: 'x'.repeat(500) });
    const answer = await this.#pool.request({
      method: 'POST',
      path: '/notes',
      body,
      headers: JSON_HEADERS,
    });
    if (answer.statusCode !== 201) await answer.body.dump();
    else this.#notes.push(`/notes/${((await answer.body.json()) as { id: string }).id}`);
    return answer.statusCode;
  }

  /** Aborts a request at a random moment. */
  async abort(): Promise<number> {
    const controller = new AbortController();
    const { signal } = controller;
    const answer = this.#pool
      .request({ method: 'GET', path: '/notes?limit=100', signal })
      .then(({ body }) => body.text());
    await Promise.race([answer, sleep(Math.random() * ABORT_MS)]).catch(() => {});
    controller.abort();
    await answer.catch(() => {});
    return 0;
  }

  /** The path of a note that may exist. */
  pickNote(): string {
    return this.#notes[this.#pickIndex()] ?? `/notes/${randomUUID()}`;
  }

  /** Removes a note from the list and returns its path. */
  takeNote(): string {
    const [path = `/notes/${randomUUID()}`] = this.#notes.splice(this.#pickIndex(), 1);
    return path;
  }

  #pickIndex(): number {
    return Math.floor(Math.random() * this.#notes.length);
  }

  async #runKind(name: string, { expected, send }: Kind): Promise<void> {
    this.sent++;
    const wasSevered = this.isSevered;
    const status = await send(this).catch((error) => error.code);
    if (expected.includes(status)) return;
    if (status === 503 && (wasSevered || this.isSevered)) this.unavailable++;
    else this.wrong.set(`${name}: ${status}`, (this.wrong.get(`${name}: ${status}`) ?? 0) + 1);
  }
}

const JSON_HEADERS = { 'content-type': 'application/json' };

function pickKind(): [string, Kind] {
  let left = Math.random() * 100;
  for (const [name, kind] of Object.entries(KINDS)) {
    left -= kind.share;
    if (left < 0) return [name, kind];
  }
  return Object.entries(KINDS)[0]!;
}
