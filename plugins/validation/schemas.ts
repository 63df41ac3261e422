import { type TStringOptions, Type } from 'typebox';

declare module 'fastify' {
  /** Declared by @fastify/swagger too, but a route may have them without plugins/docs. */
  interface FastifySchema {
    summary?: string;
    tags?: readonly string[];
  }
}

/** No NUL, no half of a surrogate pair. It has whole pairs for clients that omit the flag `u`. */
const STORABLE = '^(?:[^\\u0000\\ud800-\\udfff]|[\\ud800-\\udbff][\\udc00-\\udfff])*$';

/** Without the expression, which takes too much of the stack for more than 8 million characters. */
export const isStorable = (text: string): boolean => !text.includes('\0') && text.isWellFormed();

/** Text for a column of PostgreSQL. Text that cannot be stored is answered with 400. */
export const storableText = (options: TStringOptions) =>
  Type.String({ ...options, pattern: STORABLE });

export const id = Type.String({
  format: 'uuid',
  examples: ['01980a5e-7c1a-7b3e-9f00-5d1c2a3b4c5d'],
});

/** An id in a request. It has no example: the API's page would send it and get a 404. */
export const givenId = Type.String({ format: 'uuid' });

/** A Date in an answer, which becomes text in UTC (RFC 3339). */
export const time = Type.Unsafe<Date>({
  type: 'string',
  format: 'date-time',
  examples: ['2026-01-31T12:00:00.000Z'],
});
