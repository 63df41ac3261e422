import type { FastifyInstance, FastifyRequest } from 'fastify';
import { readBody } from './read-body.ts';

type Add = (types: string, options: object, parse: unknown) => FastifyInstance;
type Done = (error: Error | null, body?: unknown) => void;
type Parse = (request: FastifyRequest, body: Buffer | string, done: Done) => unknown;
type Options = { parseAs?: 'buffer' | 'string'; bodyLimit?: number };

/**
 * Reads the bodies of all parsers with `parseAs` into one buffer. Call it before the plugins load.
 * Fastify would keep each chunk: one may have one byte, and takes 350 bytes of memory.
 */
export function readInOneBuffer(app: FastifyInstance): void {
  const add = app.addContentTypeParser as unknown as Add;
  const addWhole = function (this: FastifyInstance, types: string, options: Options, parse: Parse) {
    // Other forms of this function have no third argument, or no parseAs.
    if (!parse || !/^(buffer|string)$/.test(`${options.parseAs}`))
      return add.call(this, types, options, parse);
    return add.call(this, types, {}, createParser(options, parse));
  };
  app.addContentTypeParser = addWhole as never;
}

function createParser({ parseAs, bodyLimit }: Options, parse: Parse) {
  return (request: FastifyRequest, payload: NodeJS.ReadableStream, done: Done) => {
    const { server, routeOptions } = request;
    // As in Fastify, a limit of the route comes before one of the parser.
    const isOwn = routeOptions.bodyLimit !== server.initialConfig.bodyLimit;
    const limit = isOwn ? routeOptions.bodyLimit : (bodyLimit ?? routeOptions.bodyLimit);
    readBody(request, payload, limit, done, (bytes) => {
      const parsed = parse(request, parseAs === 'string' ? bytes.toString() : bytes, done);
      if (parsed instanceof Promise) parsed.then((body) => done(null, body), done);
    });
  };
}
