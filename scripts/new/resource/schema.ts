import { type Static, Type } from 'typebox';

/** PostgreSQL's text holds neither NUL nor half a surrogate pair, and what cannot be stored is the client's error. */
const STORABLE = '^[^\\u0000\\ud800-\\udfff]*$';

/** How many of the sample things a page has where the client does not say. */
export const PAGE_SIZE = 20;

/** Without an example: the API's page would ask for it, and find nothing. */
const givenId = Type.String({ format: 'uuid' });
const id = Type.String({ format: 'uuid', examples: ['01980a5e-7c1a-7b3e-9f00-5d1c2a3b4c5d'] });
/** A Date on its way to JSON. */
const time = Type.Unsafe<Date>({
  type: 'string',
  format: 'date-time',
  examples: ['2026-01-31T12:00:00.000Z'],
});

/** What a client sends and gets back. A field here needs a column in the migration and its name in store.ts. */
const fields = {
  name: Type.String({ minLength: 1, maxLength: 200, pattern: STORABLE }),
};

export const SampleThing = Type.Object(
  { id, ...fields, createdAt: time, updatedAt: time },
  { description: 'One of the sample things' },
);
export const SampleThingList = Type.Object(
  {
    items: Type.Array(SampleThing),
    next: Type.Union([id, Type.Null()], {
      description: 'Give it as `after` for the next page; null on the last',
    }),
  },
  { description: 'A page of sample things, newest first' },
);

export const SampleThingId = Type.Object({ id: givenId });
export const SampleThingPage = Type.Object({
  limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 100, default: PAGE_SIZE })),
  after: Type.Optional(givenId),
});
export const NewSampleThing = Type.Object(fields, { additionalProperties: false });
export const SampleThingChanges = Type.Partial(NewSampleThing, {
  additionalProperties: false,
  minProperties: 1,
});

export type SampleThing = Static<typeof SampleThing>;
export type SampleThingList = Static<typeof SampleThingList>;
export type SampleThingPage = Static<typeof SampleThingPage>;
export type NewSampleThing = Static<typeof NewSampleThing>;
export type SampleThingChanges = Static<typeof SampleThingChanges>;
