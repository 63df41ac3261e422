import { type Kysely, sql } from 'kysely';

/** How long a release waits for a lock on the notes. Other traffic waits behind it. */
const LOCK_TIMEOUT = '5s';

/**
 * Creates the table of events, and the triggers that fill it at each write to the notes. A lock
 * makes ids rise in the order of commits. Without it, a late commit could have a lower id than
 * events that clients have already seen. The lock is taken before a write locks any row, so two
 * writes cannot wait for each other. If one of them has locked a note before (`for update`), they
 * can: PostgreSQL ends one then, and its client may try again.
 */
export function createNoteEvents(db: Kysely<unknown>): Promise<void> {
  return db.transaction().execute(createTableAndTriggers);
}

async function createTableAndTriggers(db: Kysely<unknown>): Promise<void> {
  await sql`set local lock_timeout = ${sql.lit(LOCK_TIMEOUT)}`.execute(db);
  await sql`
    create table if not exists note_events (
      id bigint generated always as identity primary key,
      name text not null,
      note json not null,
      created_at timestamptz not null default now()
    )`.execute(db);
  await sql`
    create or replace function lock_note_events() returns trigger language plpgsql as $$
    begin
      perform pg_advisory_xact_lock(hashtext('note_events'));
      return null;
    end $$`.execute(db);
  await sql`
    create or replace function add_note_event() returns trigger language plpgsql as $$
    declare
      changed notes := case when TG_OP = 'DELETE' then old else new end;
    begin
      insert into note_events (name, note) values (
        case TG_OP when 'INSERT' then 'created' when 'UPDATE' then 'changed' else 'deleted' end,
        json_build_object(
          'id', changed.id,
          'title', changed.title,
          'body', changed.body,
          'createdAt', to_char(changed.created_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'),
          'updatedAt', to_char(changed.updated_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')
        )
      );
      perform pg_notify('note_events', '');
      return null;
    end $$`.execute(db);
  await sql`
    create or replace trigger lock_note_events before insert or update or delete on notes
    for each statement execute function lock_note_events()`.execute(db);
  await sql`
    create or replace trigger add_note_event after insert or update or delete on notes
    for each row execute function add_note_event()`.execute(db);
}
