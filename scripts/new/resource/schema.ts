import { type Static, Type } from 'typebox';
import { givenId, id, storableText, time } from '../../../plugins/validation/schemas.ts';

/** How many of the sample things a page has by default. */
export const PAGE_SIZE = 20;

/**
 * The fields that a client sends and gets. Each field also needs a column in the migration and its
 * name in store.ts. A field's default fills the body of a POST, never that of a PATCH.
 */
const fields = {
  name: storableText({ minLength: 1, maxLength: 200 }),
};

export const SampleThing = Type.Object(
  { id, ...fields, createdAt: time, updatedAt: time },
  { description: 'One of the sample things' },
);
export const SampleThingList = Type.Object(
  {
    items: Type.Array(SampleThing),
    next: Type.Union([id, Type.Null()], {
      description: 'Send this as `after` to get the next page; null on the last page',
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
