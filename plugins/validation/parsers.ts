import type { FastifyInstance, FastifyRequest } from 'fastify';
import { readBody } from './read-body.ts';

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Set by the app: true if the options of the route have a `bodyLimit`. */
    hasOwnBodyLimit?: boolean;
  }
}

type Add = (types: string, options: Options | undefined, parse?: unknown) => FastifyInstance;
type Done = (error: Error | null, body?: unknown) => void;
type Parse = (request: FastifyRequest, body: Buffer | string, done: Done) => unknown;
type Options = { parseAs?: 'buffer' | 'string'; bodyLimit?: number };

/**
 * Reads the bodies of all parsers with `parseAs` into one buffer. Call it before the plugins load.
 * Fastify would keep each chunk: one may have one byte, and takes 350 bytes of memory.
 */
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
