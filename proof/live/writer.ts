import http from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';

/** Ten writers that create notes through the router, at a given rate. */
export class Writers {
  /** The ids of the acknowledged notes. */
  readonly notes: string[] = [];
  readonly #url: string;
  readonly #running: Promise<void>[];
  #stopped = false;

  constructor(url: string, perSecond: number, count = 10) {
    this.#url = url;
    this.#running = Array.from({ length: count }, (_, writer) =>
      this.#write(writer, (count * 1_000) / perSecond),
    );
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await Promise.all(this.#running);
  }

  async #write(writer: number, pauseMs: number): Promise<void> {
    await sleep((pauseMs * writer) / 10);
    while (!this.#stopped) {
      const id = await this.#create(`Written by ${writer}`).catch(() => undefined);
      if (id) this.notes.push(id);
      await sleep(pauseMs);
    }
  }

  #create(title: string): Promise<string | undefined> {
    const headers = { 'content-type': 'application/json' };
    return new Promise((resolve, reject) => {
      const request = http.request(
        this.#url,
        { method: 'POST', headers, agent: false },
        async (response) => {
          let text = '';
          for await (const chunk of response.setEncoding('utf8')) text += chunk;
          resolve(response.statusCode === 201 ? JSON.parse(text).id : undefined);
        },
      );
      request.once('error', reject);
      request.end(JSON.stringify({ title }));
    });
  }
}
