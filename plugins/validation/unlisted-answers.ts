import type { FastifyInstance, FastifyReply, preSerializationHookHandler } from 'fastify';
import { type Content, refuseNames } from './content.ts';
import { WITH_BODY } from './missing-answer.ts';

/** The `content` of a route's response schemas by their keys, in lower case. */
type Responses = Map<string, Content | undefined>;

/** Fastify documents `mediaType`, but its types lack it. */
type Reply = FastifyReply & { mediaType?: string };

/**
 * Refuses a success of which the response schemas lack the status or the type. Fastify would send
 * it without a schema, so with the fields that the other schemas hide.
 */
export function refuseUnlistedAnswers(app: FastifyInstance): void {
  app.addHook('onRoute', (route) => {
    const schemas = Object.entries<{ content?: Content }>(Object(route.schema?.response));
    const responses = new Map(schemas.map(([key, { content }]) => [key.toLowerCase(), content]));
    for (const content of responses.values()) {
      const types = Object.keys(content ?? {}).filter((type) => type !== '*/*');
      refuseNames(`${route.method} ${route.url}: no answer`, types);
    }
    if (responses.size === 0) return;
    const check: preSerializationHookHandler = (_request, reply, payload, done) => {
      const missing = payload === null ? undefined : findMissing(reply, responses);
      if (missing) done(new Error(`The route's response schemas have no ${missing}`));
      else done(null, payload);
    };
    route.preSerialization = [route.preSerialization ?? [], check].flat();
  });
}

/** Looks for the status in Fastify's order. */
function findMissing({ statusCode, mediaType }: Reply, responses: Responses): string | undefined {
  const status = `${statusCode}`;
  const key = [status, `${status[0]}xx`, 'default'].find((key) => responses.has(key));
  if (!key) return isOtherSuccess(status, responses) ? status : undefined;
  const content = responses.get(key);
  if (!content || !mediaType?.includes('json')) return undefined;
  return mediaType in content || '*/*' in content ? undefined : `${mediaType} in ${key}`;
}

function isOtherSuccess(status: string, responses: Responses): boolean {
  return WITH_BODY.test(status) && [...responses.keys()].some((key) => WITH_BODY.test(key));
}
