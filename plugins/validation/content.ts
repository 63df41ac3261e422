import createError from '@fastify/error';
import type { FastifyInstance, FastifyRequest, preValidationHookHandler } from 'fastify';

export type Content = Record<string, { schema: object }>;

const MissingBody = createError('FST_ERR_VALIDATION', 'The body is missing.', 400);
const MISSING = { errors: [{ path: '', in: 'body', message: 'is missing' }] };
const UnlistedType = createError('FST_ERR_CTP_INVALID_MEDIA_TYPE', 'The body must be %s.', 415);

/** Refuses bodies that Fastify would not check: the schema's `content` lacks their type. */
export function refuseUnlistedTypes(app: FastifyInstance): void {
  app.addHook('onRoute', (route) => {
    const { content } = (route.schema?.body ?? {}) as { content?: Content };
    if (!content) return;
    refuseNames(`${route.method} ${route.url}: no body`, Object.keys(content));
    const refuse: preValidationHookHandler = (request, _reply, done) =>
      done(findRefusal(request, content));
    route.preValidation = [refuse, route.preValidation ?? []].flat();
  });
}

/** Refuses a type that Fastify would never find. */
export function refuseNames(subject: string, types: string[]): void {
  const wrong = types.find((type) => type !== type.toLowerCase() || /[*;\s]/.test(type));
  if (wrong === undefined) return;
  throw new Error(
    `${subject} has the type "${wrong}" of its schema's content. ` +
      'Write a type in lower case, without "*" and parameters.',
  );
}

function findRefusal(request: FastifyRequest, content: Content): Error | undefined {
  const { mediaType } = request;
  if (mediaType === undefined)
    return mayBeMissing(request, content) ? undefined : Object.assign(new MissingBody(), MISSING);
  if (Object.hasOwn(content, mediaType)) return undefined;
  return new UnlistedType(Object.keys(content).join(' or '));
}

function mayBeMissing(request: FastifyRequest, content: Content): boolean {
  return Object.values(content).some(({ schema }) => {
    // Validators of other libraries, such as Joi, give an object.
    const result: unknown = request.compileValidationSchema(schema, 'body')(null);
    return result !== false && !Object(result).error;
  });
}
