import { OperatorError } from './operator-error.ts';
import { shorten } from './redaction.ts';

const SAFE_FIELDS =
  'code statusCode errno syscall address port severity table column constraint'.split(' ');

const MAX_DEPTH = 4;

/** Keeps an error's known fields for the log: others may be secret. Causes may form a circle. */
export function serializeError(error: unknown, depth = 0): unknown {
  try {
    const serialize = (other: unknown) => serializeError(other, depth + 1);
    if (Array.isArray(error) && depth < MAX_DEPTH) return error.slice(0, MAX_DEPTH).map(serialize);
    const fields = SAFE_FIELDS.map((name) => [name, Reflect.get(Object(error), name)]);
    const known = fields.filter(([, value]) => ['string', 'number'].includes(typeof value));
    if (!(error instanceof Error)) {
      const message = shorten(String(Reflect.get(Object(error), 'message') ?? error));
      return { type: typeof error, message, ...Object.fromEntries(known) };
    }
    const { message, stack, cause } = error;
    const errors = error instanceof AggregateError ? error.errors.slice(0, MAX_DEPTH) : undefined;
    return {
      type: error.constructor.name,
      message: shorten(`${message}`),
      ...(stack && !(error instanceof OperatorError) && { stack: shorten(`${stack}`) }),
      ...Object.fromEntries(known),
      ...(depth < MAX_DEPTH && cause !== undefined && { cause: serialize(cause) }),
      ...(depth < MAX_DEPTH && errors && { errors: errors.map(serialize) }),
    };
  } catch {
    return { type: 'Error', message: 'The error cannot be read: one of its properties throws.' };
  }
}

/** Converts any thrown value to an error that is safe to read: reading some values throws. */
export function toError(thrown: unknown): Error {
  if (typeof thrown !== 'object' || thrown === null) return new Error(String(thrown));
  try {
    // A template does not convert a symbol, unlike String(): code that reads the error may use one.
    for (const name of ['name', 'message', 'stack']) void `${Reflect.get(thrown, name)}`;
    for (const name of ['code', 'cause']) Reflect.get(thrown, name);
    if (thrown instanceof Error) return thrown;
    if ('message' in thrown) return new Error(String(thrown.message));
  } catch {
    // One of its properties throws.
  }
  return new Error('The thrown value is not a readable error: it is another object');
}
