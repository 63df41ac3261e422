import { setTimeout as sleep } from 'node:timers/promises';
import type { FastifyInstance } from 'fastify';
import { sql } from 'kysely';

/** Something that happened to a note. */
export interface NoteEvent {
  /** Rises in the order in which the transactions were committed. */
  id: number;
  name: 'created' | 'changed' | 'deleted';
  /** The note, as JSON. */
  note: string;
}

/** How many events a process keeps for its clients; who is further behind reads the table. */
const RECENT = 500;

/** How many events are read from the table at once. */
const PAGE = 100;

/** The pause before a database that was away is asked again, in milliseconds. */
const RETRY_MS = 500;

/**
 * What happens to the notes. The table of events is read once for all clients of a process, and a
 * client is only a position in it: one that does not read costs no memory.
 */
export class NoteEvents {
  readonly #app: FastifyInstance;
  #recent: NoteEvent[] = [];
  /** #recent has all events after this one. */
  #recentAfter = 0;
  #position = 0;
  #reading: Promise<void> | undefined;
  #isStarted = false;
  #isStale = false;
  #news = Promise.withResolvers<boolean>();

  constructor(app: FastifyInstance) {
    this.#app = app;
  }

  /**
   * The event after which a client goes on: the one that it names, the newest where it names none.
   * An id that is greater than the newest is of another database. Rejects while the database is
   * away.
   */
  async findPosition(after?: number): Promise<number> {
    await this.#start();
    if (after === undefined || after <= this.#position) return after ?? this.#position;
    // Another process may have been faster to read what is new.
    return Math.min(after, await this.#findNewest());
  }

  /** Deletes the events that are older than a day. */
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

  /** The next events after this one, at most a page; empty where there are none yet. */
  async list(after: number): Promise<NoteEvent[]> {
    if (after < this.#recentAfter) return this.#read(after);
    return this.#recent.filter(({ id }) => id > after).slice(0, PAGE);
  }

  /**
   * Reads what is new, again and again until the database has answered; what comes meanwhile is
   * read after it.
   */
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

  /** Begins at the newest event, once. */
  async #start(): Promise<void> {
    if (this.#isStarted) return;
    const newest = await this.#findNewest();
    if (this.#isStarted) return;
    this.#isStarted = true;
    this.#position = newest;
    this.#recentAfter = newest;
  }

  async #findNewest(): Promise<number> {
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

  async #read(after: number): Promise<NoteEvent[]> {
    const { rows } = await sql<Omit<NoteEvent, 'id'> & { id: string }>`
      select id, name, note::text as note from note_events
      where id > ${after} order by id limit ${sql.lit(PAGE)}`.execute(this.#app.db);
    return rows.map((row) => ({ ...row, id: Number(row.id) }));
  }
}
