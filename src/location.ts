import type { FastifyRequest } from 'fastify';
import { readPath } from './request-log.ts';

/**
 * The Location header of a POST to a collection: the URL of what was created. It is relative to the
 * request's URL (RFC 9110, 10.2.2), so that it also works behind a path prefix.
 */
export function locate({ url }: Pick<FastifyRequest, 'url'>, id: string): string {
  const name = readPath(url).split('/').at(-1);
  return name ? `${name}/${id}` : id;
}
