import type { ErrorObject } from 'ajv';
import { type Static, Type } from 'typebox';

/** How many problems an answer lists. Without a limit, it could be megabytes long. */
export const MAX_PROBLEMS = 20;

/** The longest pointer, field's name or list of allowed values in an answer, in characters. */
const MAX_LENGTH = 200;

const PARTS = { body: 'body', querystring: 'query', params: 'path', headers: 'headers' } as const;

export const Problems = Type.Array(
  Type.Object({
    path: Type.String({ description: 'A JSON pointer; empty for all of it', examples: ['/title'] }),
    in: Type.Enum(Object.values(PARTS)),
    message: Type.String({ examples: ['must be string'] }),
  }),
  { maxItems: MAX_PROBLEMS, description: 'The first problems that the schema found' },
);

/** A request that does not match its route's schema. Fastify adds the code and the status, 400. */
export class InvalidRequest extends Error {
  readonly errors: Static<typeof Problems>;

  constructor(problems: ErrorObject[], part: string) {
    const errors = problems.map((problem) => ({
      path: cutPointer(`${problem.instancePath ?? ''}`),
      in: PARTS[part as keyof typeof PARTS],
      message: explain(problem),
    }));
    super(`${part}${errors[0]?.path} ${errors[0]?.message}`);
    this.errors = errors;
  }
}

/** A pointer that is too long becomes that of a value which contains the wrong one. */
function cutPointer(path: string): string {
  return path.length > MAX_LENGTH ? path.slice(0, MAX_LENGTH).replace(/\/[^/]*$/, '') : path;
}

function explain({ message, params }: Partial<ErrorObject>): string {
  if (!params) return `${message}`;
  const name = params.additionalProperty ?? params.unevaluatedProperty ?? params.propertyName;
  const allowed =
    params.allowedValues?.map(write).join(', ') ?? JSON.stringify(params.allowedValue);
  const detail = (name ?? allowed)?.slice(0, MAX_LENGTH);
  return detail === undefined ? `${message}` : `${message}: ${detail}`;
}

function write(value: unknown): string {
  return typeof value === 'string' ? value : JSON.stringify(value);
}
