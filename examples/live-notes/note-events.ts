import { setTimeout as sleep } from 'node:timers/promises';
import type { FastifyInstance } from 'fastify';
import { sql } from 'kysely';

/** A change of a note. */
export interface NoteEvent {
  /** Rises in the order of the commits. */
  id: number;
  name: 'created' | 'changed' | 'deleted';
  /** The note, as JSON. */
  note: string;
}

/** How many events a process keeps for its clients. Clients further behind read the table. */
const RECENT = 500;

/** How many events one query reads. */
const PAGE = 100;

/** The pause before the next try while the database is down, in milliseconds. */
const RETRY_MS = 500;

/**
 * The events of the notes. A process reads the table of events once for all its clients. A client
 * is only a position in it, so a client that does not read costs no memory.
 */
export class NoteEvents {
  readonly #app: FastifyInstance;
  #recent: NoteEvent[] = [];
  /** #recent has all events after this one. */
  #recentAfter = 0;
  #position = 0;
  #reading: Promise<void> | undefined;
  #started: Promise<void> | undefined;
  #finding: Promise<number> | undefined;
  #isStale = false;
  #news = Promise.withResolvers<boolean>();

  constructor(app: FastifyInstance) {
    this.#app = app;
  }

  /**
   * Finds the event after which a client continues: the one that it names, or the newest. An id
   * above the newest comes from another database. Rejects while the database is down.
   */
  async findPosition(after?: number): Promise<number> {
    await this.#start();
    if (after === undefined || after <= this.#position) return after ?? this.#position;
    // Another process may have read newer events already.
    return Math.min(after, await this.#findNewest());
  }

  /** Deletes events older than a day. */
  async clean(): Promise<void> {
    const old = sql`delete from note_events where created_at < now() - interval '1 day'`;
    await old.execute(this.#app.db).catch((err) => {
      this.#app.log.warn({ err }, 'The old events of the notes cannot be deleted: trying again');
    });
  }

  /** Resolves with true at the next event, with false at a heartbeat or when the process stops. */
  get news(): Promise<boolean> {
    return this.#news.promise;
  }

  /** Ends the wait of all clients. */
  wake(isNews = false): void {
    this.#news.resolve(isNews);
    this.#news = Promise.withResolvers();
  }

  /** Lists the events after this one, at most a page. Empty if there are none yet. */
  async list(after: number): Promise<NoteEvent[]> {
    if (after < this.#recentAfter) return this.#read(after);
    return this.#recent.filter(({ id }) => id > after).slice(0, PAGE);
  }

  /** Reads new events, and retries until the database answers. Later ones are read afterwards. */
  refresh(): void {
    this.#isStale = true;
    this.#reading ??= this.#readNews().finally(() => {
      this.#reading = undefined;
    });
  }

  async #readNews(): Promise<void> {
    for (let failures = 0; this.#isStale && !this.#app.stopping.aborted; ) {
      this.#isStale = false;
      await this.#readPages().catch(async (err) => {
        if (failures++ === 0)
          this.#app.log.warn({ err }, 'The events of the notes cannot be read: trying again');
        this.#isStale = true;
        await sleep(RETRY_MS);
      });
    }
  }

  /** Reads the newest events, once: after a restart, all clients come at once and go on there. */
  #start(): Promise<void> {
    this.#started ??= this.#readNewest().catch((error) => {
      this.#started = undefined;
      throw error;
    });
    return this.#started;
  }

  async #readNewest(): Promise<void> {
    const newest = await this.#findNewest();
    this.#recentAfter = Math.max(0, newest - RECENT);
    this.#recent = await this.#read(this.#recentAfter, RECENT);
    this.#position = this.#recent.at(-1)?.id ?? newest;
  }

  /** Clients that come together share one query. */
  #findNewest(): Promise<number> {
    this.#finding ??= this.#queryNewest().finally(() => {
      this.#finding = undefined;
    });
    return this.#finding;
  }

  async #queryNewest(): Promise<number> {
    const { rows } = await sql<{ id: string | null }>`
      select max(id) as id from note_events`.execute(this.#app.db);
    return Number(rows[0]?.id);
  }

  async #readPages(): Promise<void> {
    await this.#start();
    for (;;) {
      const events = await this.#read(this.#position);
      if (events.length === 0) return;
      this.#position = events.at(-1)!.id;
      this.#recent.push(...events);
      const surplus = this.#recent.splice(0, Math.max(0, this.#recent.length - RECENT));
      this.#recentAfter = surplus.at(-1)?.id ?? this.#recentAfter;
      this.wake(true);
    }
  }

  async #read(after: number, most = PAGE): Promise<NoteEvent[]> {
    const { rows } = await sql<Omit<NoteEvent, 'id'> & { id: string }>`
      select id, name, note::text as note from note_events
      where id > ${after} order by id limit ${sql.lit(most)}`.execute(this.#app.db);
    return rows.map((row) => ({ ...row, id: Number(row.id) }));
  }
}
