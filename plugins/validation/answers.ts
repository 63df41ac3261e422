import type { FastifyInstance, FastifyReply, onSendHookHandler, RouteOptions } from 'fastify';
import { type Content, refuseNames } from './content.ts';

/** The statuses and keys of response schemas that are a success with a body. */
const SUCCESS = /^2(?!0[45])/;

/** The `content` of a route's response schemas by their keys, in lower case. */
type Responses = Map<string, Content | undefined>;

/** Fastify documents `mediaType`, but its types lack it. */
type Reply = FastifyReply & { mediaType?: string };

/** Refuses a success that no response schema describes: it could send what the schemas hide. */
export function refuseWrongAnswers(app: FastifyInstance): void {
  app.addHook('onRoute', (route) => {
    const responses = readResponses(route);
    if (responses.size === 0) return;
    const check: onSendHookHandler = (_request, reply, payload, done) =>
      done(findFault(reply, payload, responses) as Error);
    // Fastify serializes nothing if the handler returned nothing.
    const checkNothing: onSendHookHandler = ({ method }, reply, payload, done) => {
      if (payload !== undefined || method === 'HEAD') done();
      else done(findFault(reply, payload, responses) as Error);
    };
    route.preSerialization = [route.preSerialization ?? [], check].flat();
    route.onSend = [checkNothing, route.onSend ?? []].flat();
  });
}

function readResponses({ method, url, schema }: RouteOptions): Responses {
  const schemas = Object.entries<{ content?: Content }>(Object(schema?.response));
  const responses = new Map(schemas.map(([key, { content }]) => [key.toLowerCase(), content]));
  for (const content of responses.values()) {
    const types = Object.keys(content ?? {}).filter((type) => type !== '*/*');
    refuseNames(`${method} ${url}: no answer`, types);
  }
  return responses;
}

function findFault(reply: Reply, payload: unknown, responses: Responses): Error | undefined {
  const status = `${reply.statusCode}`;
  if (!SUCCESS.test(status)) return undefined;
  // Fastify's order.
  const key = [status, '2xx', 'default'].find((one) => responses.has(one));
  const content = key && responses.get(key);
  if (payload === undefined || payload === null)
    return key ? refuseEmpty(reply, key, content || {}) : undefined;
  if (key && !content) return undefined;
  const { mediaType = '' } = reply;
  // Only JSON is written by schemas.
  if (!mediaType.includes('json')) return undefined;
  if (content)
    return mediaType in content || '*/*' in content ? undefined : lack(`${mediaType} in ${key}`);
  return [...responses.keys()].some((key) => SUCCESS.test(key)) ? lack(status) : undefined;
}

function lack(what: string): Error {
  return new Error(`The route's response schemas have no ${what}`);
}

/** A schema that does not allow null writes it as {}, [], "" or 0, or throws. */
function refuseEmpty(reply: FastifyReply, key: string, content: Content): Error | undefined {
  const [type] = Object.keys(content);
  let cause: unknown;
  try {
    const serialize = reply.getSerializationFunction(key, type as string);
    if (serialize?.(null as never) === 'null') return undefined;
  } catch (error) {
    cause = error;
  }
  const reason = `The handler returned nothing or null, but ${key} has a schema`;
  const message = `${reason}: is a return missing, or an error for what was not found?`;
  return new Error(message, { cause });
}
