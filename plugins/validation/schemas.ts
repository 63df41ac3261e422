import { type TStringOptions, Type } from 'typebox';

/** Text that PostgreSQL stores: it holds neither NUL nor half of a surrogate pair. */
export const STORABLE = '^[^\\u0000\\ud800-\\udfff]*$';

/** Text for a column of PostgreSQL: what cannot be stored is the client's error, a 400. */
export const storableText = (options: TStringOptions) =>
  Type.String({ ...options, pattern: STORABLE });

/** The id of a row, a UUID, in an answer. */
export const id = Type.String({
  format: 'uuid',
  examples: ['01980a5e-7c1a-7b3e-9f00-5d1c2a3b4c5d'],
});

/** An id in a request: without an example, which the API's page would ask for and not find. */
export const givenId = Type.String({ format: 'uuid' });

/** A time in an answer: a Date that becomes JSON, in UTC (RFC 3339). */
export const time = Type.Unsafe<Date>({
  type: 'string',
  format: 'date-time',
  examples: ['2026-01-31T12:00:00.000Z'],
});
