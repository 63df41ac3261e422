import type { ColumnType, Kysely } from 'kysely';
import { v7 as createId } from 'uuid';
import type { Tables } from '../../../plugins/database/index.ts';
import {
  type NewSampleThing,
  PAGE_SIZE,
  type SampleThing,
  type SampleThingChanges,
  type SampleThingList,
  type SampleThingPage,
} from './schema.ts';

/** An optional field is a column with a default. */
type Columns = {
  [FieldName in keyof NewSampleThing]-?: ColumnType<
    Required<NewSampleThing>[FieldName],
    NewSampleThing[FieldName]
  >;
};

declare module '../../../plugins/database/index.ts' {
  interface Tables {
    sample_things: Columns & { id: string; created_at: Date; updated_at: Date };
  }
}

const COLUMNS = [
  // Each field of schema.ts. Its column has the same name, such as dueDate.
  'id',
  'name',
  'created_at as createdAt',
  'updated_at as updatedAt',
] as const;

/** Lists a page, newest first. Ids give the order: a UUID v7 starts with a time. */
export async function listSampleThings(
  db: Kysely<Tables>,
  { limit = PAGE_SIZE, after }: SampleThingPage,
): Promise<SampleThingList> {
  const query = db
    .selectFrom('sample_things')
    .select(COLUMNS)
    .orderBy('id', 'desc')
    .limit(limit + 1);
  const found = await (after ? query.where('id', '<', after) : query).execute();
  const items = found.slice(0, limit);
  return { items, next: found.length > limit ? items.at(-1)!.id : null };
}

export async function createSampleThing(
  db: Kysely<Tables>,
  fields: NewSampleThing,
): Promise<SampleThing> {
  const now = new Date();
  const values = {
    id: createId(),
    ...fields,
    created_at: now,
    updated_at: now,
  };
  return db.insertInto('sample_things').values(values).returning(COLUMNS).executeTakeFirstOrThrow();
}

export async function findSampleThing(
  db: Kysely<Tables>,
  id: string,
): Promise<SampleThing | undefined> {
  return db.selectFrom('sample_things').select(COLUMNS).where('id', '=', id).executeTakeFirst();
}

export async function updateSampleThing(
  db: Kysely<Tables>,
  id: string,
  changes: SampleThingChanges,
): Promise<SampleThing | undefined> {
  const values = { ...changes, updated_at: new Date() };
  return db
    .updateTable('sample_things')
    .set(values)
    .where('id', '=', id)
    .returning(COLUMNS)
    .executeTakeFirst();
}

/** @returns whether this id existed */
export async function deleteSampleThing(db: Kysely<Tables>, id: string): Promise<boolean> {
  const { numDeletedRows } = await db
    .deleteFrom('sample_things')
    .where('id', '=', id)
    .executeTakeFirstOrThrow();
  return numDeletedRows > 0n;
}
