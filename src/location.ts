import type { FastifyRequest } from 'fastify';
import { readPath } from './request-log.ts';

/**
 * Where a POST to a collection has put something, for the Location header. It is relative to the
 * request's URL (RFC 9110, 10.2.2), so that it is right behind every prefix.
 */
export function locate({ url }: Pick<FastifyRequest, 'url'>, id: string): string {
  const name = readPath(url).split('/').at(-1);
  return name ? `${name}/${id}` : id;
}
