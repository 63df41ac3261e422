import type { FastifyRequest } from 'fastify';
import { readPath } from './request-log.ts';

/** The Location header of what a POST created. Relative, so it works behind a path prefix. */
export function locate({ url }: Pick<FastifyRequest, 'url'>, id: string): string {
  const name = readPath(url).split('/').at(-1);
  return name ? `${name}/${id}` : id;
}
