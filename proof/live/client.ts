import http from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';

/** The pause before a client reconnects, in milliseconds; a browser uses `retry`. */
const RETRY_MS = 100;

/** A client of GET /notes/events that reconnects with Last-Event-ID, as EventSource does. */
export class EventClient {
  /** The ids of the received events, in order. */
  readonly ids: number[] = [];
  /** The note ids of the received events. */
  readonly notes: string[] = [];
  /** The number of connections. */
  connections = 0;
  readonly #url: string;
  readonly #agent = new http.Agent();
  #lastId: string | undefined;
  #stopped = false;
  #request: http.ClientRequest | undefined;
  readonly #ready = Promise.withResolvers<void>();

  constructor(url: string) {
    this.#url = url;
    void this.#run();
  }

  /** Resolves when the client has an event id to continue from. */
  get ready(): Promise<void> {
    return this.#ready.promise;
  }

  /** Does not reconnect after this connection. */
  stopAfterThis(): void {
    this.#stopped = true;
  }

  stop(): void {
    this.#stopped = true;
    this.#request?.destroy();
  }

  async #run(): Promise<void> {
    while (!this.#stopped) {
      await this.#connect().catch(() => undefined);
      await sleep(RETRY_MS);
    }
  }

  #connect(): Promise<void> {
    this.connections += 1;
    const headers = this.#lastId === undefined ? {} : { 'last-event-id': this.#lastId };
    return new Promise((resolve, reject) => {
      this.#request = http.get(this.#url, { agent: this.#agent, headers }, (response) => {
        let text = '';
        response.setEncoding('utf8').on('data', (chunk: string) => {
          const messages = (text + chunk).split('\n\n');
          text = messages.pop() as string;
          if (response.statusCode === 200) for (const message of messages) this.#take(message);
        });
        response.once('close', resolve);
      });
      this.#request.once('error', reject);
    });
  }

  /** An event is complete at its empty line. */
  #take(message: string): void {
    const fields = new Map(
      message.split('\n').map((line) => line.split(/: (.*)/s) as [string, string]),
    );
    this.#lastId = fields.get('id') ?? this.#lastId;
    if (this.#lastId !== undefined) this.#ready.resolve();
    const data = fields.get('data');
    if (!data) return;
    this.ids.push(Number(fields.get('id')));
    this.notes.push(JSON.parse(data).id);
  }
}
