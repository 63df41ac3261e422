import type { IncomingHttpHeaders } from 'node:http';
import createError from '@fastify/error';
import { errorCodes, type FastifyInstance, type FastifyRequest } from 'fastify';
import { countReceived } from '../../src/held-memory.ts';

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Set by the app: true if the options of the route have a `bodyLimit`. */
    hasOwnBodyLimit?: boolean;
  }
}

const UnreadableBody = createError('UNREADABLE_BODY', 'The body cannot be read.', 400);

type Add = (types: string, options: Options | undefined, parse?: unknown) => FastifyInstance;
type Done = (error: Error | null, body?: unknown) => void;
type Parse = (request: FastifyRequest, body: Buffer | string, done: Done) => unknown;
type Options = { parseAs?: 'buffer' | 'string'; bodyLimit?: number };

/** Lets parsers with `parseAs` read into one buffer: each of Fastify's chunks takes 350 bytes. */
export function readInOneBuffer(app: FastifyInstance): void {
  app.addHook('onRoute', (route) => {
    if (route.bodyLimit) route.config = { ...route.config, hasOwnBodyLimit: true };
  });
  const add = app.addContentTypeParser as unknown as Add;
  const addWhole: Add = function (this: FastifyInstance, types, options, parse) {
    // Fastify itself takes the other forms of this function, and refuses wrong ones.
    if (typeof parse !== 'function' || !/^(buffer|string)$/.test(`${options?.parseAs}`))
      return add.call(this, types, options, parse);
    return add.call(this, types, {}, createParser(options as Options, parse as Parse));
  };
  app.addContentTypeParser = addWhole as never;
}

function createParser({ parseAs, bodyLimit }: Options, parse: Parse) {
  return (request: FastifyRequest, payload: NodeJS.ReadableStream, done: Done) => {
    const { config, bodyLimit: ofRoute } = request.routeOptions;
    // As in Fastify, a limit of the route comes before one of the parser.
    const limit = config.hasOwnBodyLimit ? ofRoute : bodyLimit || ofRoute;
    readBody(request, payload, limit, done, (bytes) => {
      try {
        const body = parseAs === 'string' ? bytes.toString() : bytes;
        const parsed = parse(request, body, done) as PromiseLike<unknown> | undefined;
        if (typeof parsed?.then === 'function') parsed.then((value) => done(null, value), done);
      } catch (error) {
        done(error as Error);
      }
    });
  };
}

/** Reads a body as Fastify's `parseAs: 'buffer'` does, but into one buffer, whose size doubles. */
export function readBody(
  { headers, raw, server, log }: FastifyRequest,
  payload: NodeJS.ReadableStream,
  bodyLimit: number,
  fail: (error: Error) => void,
  use: (body: Buffer) => void,
): void {
  const expected = Number(headers['content-length']) || 0;
  const isTooLarge = expected > bodyLimit;
  // Pages that are not written to take no memory.
  let buffer = Buffer.allocUnsafe(isTooLarge ? 0 : expected);
  let size = 0;
  const grow = (length: number) => {
    const larger = Buffer.allocUnsafe(Math.min(2 * length, bodyLimit));
    buffer.copy(larger, 0, 0, size);
    buffer = larger;
  };
  const read = (chunk: Buffer | string) => {
    // A preParsing hook of the owner may give text or a Uint8Array.
    const bytes = Buffer.isBuffer(chunk) ? chunk : Buffer.from(chunk);
    const length = size + bytes.length;
    if (length > bodyLimit) return end(new errorCodes.FST_ERR_CTP_BODY_TOO_LARGE());
    if (length > buffer.length) grow(length);
    bytes.copy(buffer, size);
    size = length;
    countReceived(server.openRequests, bytes.length);
  };
  const end = (error?: Error) => {
    payload.off('data', read).off('end', end).off('error', stop);
    // The stream of a preParsing hook may still fail, which would end the process.
    if (payload !== raw) payload.on('error', () => undefined);
    if (error) fail(error);
    else use(buffer.subarray(0, size));
  };
  const stop = (error: Error) => {
    if (payload === raw) return end(error);
    // A preParsing hook that decompresses fails because of the client's bytes.
    log.info({ err: error }, 'A body cannot be read');
    end(Reflect.has(Object(error), 'statusCode') ? error : new UnreadableBody());
  };
  if (isTooLarge) end(new errorCodes.FST_ERR_CTP_BODY_TOO_LARGE());
  // A preParsing hook may give a paused stream.
  else payload.on('data', read).on('end', end).on('error', stop).resume();
}

/** A chunked body may still be empty. */
export function mayHaveBody(headers: IncomingHttpHeaders): boolean {
  return headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0;
}
