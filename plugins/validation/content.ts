import createError from '@fastify/error';
import type {
  FastifyInstance,
  FastifyReply,
  FastifyRequest,
  preValidationHookHandler,
} from 'fastify';
import type { InvalidRequest } from './problems.ts';

type Content = Record<string, { schema: object }>;

const MissingBody = createError('FST_ERR_VALIDATION', 'The body is missing.', 400);
const UnlistedType = createError<[string]>(
  'FST_ERR_CTP_INVALID_MEDIA_TYPE',
  'The body must be %s.',
  415,
);

/** Refuses bodies that Fastify would not check: the schema's `content` lacks their type. */
export function refuseUnlistedTypes(app: FastifyInstance): void {
  app.addHook('onRoute', (route) => {
    const { content } = (route.schema?.body ?? {}) as { content?: Content };
    if (!content) return;
    refuseNames(`${route.method} ${route.url}`, Object.keys(content));
    const refuse: preValidationHookHandler = (request, _reply, done) =>
      done(findRefusal(request, content));
    route.preValidation = [refuse, route.preValidation ?? []].flat();
  });
}

function refuseNames(route: string, types: string[]): void {
  const wrong = types.find((type) => type !== type.toLowerCase() || /[*;\s]/.test(type));
  if (wrong === undefined) return;
  throw new Error(
    `${route}: no body has the type "${wrong}" of its schema's content. ` +
      'Write a type in lower case, without "*" and parameters.',
  );
}

function findRefusal(request: FastifyRequest, content: Content): Error | undefined {
  const { mediaType } = request;
  if (mediaType === undefined)
    return mayBeMissing(request, content) ? undefined : describeMissing();
  if (Object.hasOwn(content, mediaType)) return undefined;
  return new UnlistedType(Object.keys(content).join(' or '));
}

function describeMissing(): Partial<InvalidRequest> & Error {
  return Object.assign(new MissingBody(), {
    errors: [{ path: '', in: 'body' as const, message: 'is missing' }],
  });
}

function mayBeMissing(request: FastifyRequest, content: Content): boolean {
  return Object.values(content).some(({ schema }) =>
    request.compileValidationSchema(schema, 'body')(null),
  );
}

/** Refuses JSON that Fastify would send whole, with hidden fields: `content` lacks its type. */
export function refuseUnlistedAnswers(app: FastifyInstance): void {
  app.addHook('onRoute', (route) => {
    const responses = Object.entries<{ content?: Content }>(Object(route.schema?.response));
    if (!responses.some(([, { content }]) => content)) return;
    const schemas = new Map(responses.map(([status, schema]) => [status.toLowerCase(), schema]));
    const check = async (_request: FastifyRequest, reply: TypedReply, payload: unknown) => {
      refuseUnlisted(reply, schemas);
      return payload;
    };
    route.preSerialization = [route.preSerialization ?? [], check].flat();
  });
}

/** Fastify documents this, but its types lack it. */
type TypedReply = FastifyReply & { mediaType?: string };

function refuseUnlisted(
  { statusCode, mediaType = '' }: TypedReply,
  schemas: Map<string, { content?: Content }>,
): void {
  // As Fastify finds it.
  const keys = [`${statusCode}`, `${`${statusCode}`[0]}xx`, 'default'];
  const key = keys.find((key) => schemas.has(key));
  const { content } = schemas.get(key ?? '') ?? {};
  const isListed = !content || Object.hasOwn(content, mediaType) || '*/*' in content;
  if (mediaType.includes('json') && !isListed)
    throw new Error(`The content of ${key} in the response schema has no ${mediaType}`);
}
