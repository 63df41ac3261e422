import type { FastifyRequest } from 'fastify';

/** The Location header of what a POST created. Relative, so it works behind a path prefix. */
export function locate({ url }: Pick<FastifyRequest, 'url'>, id: string): string {
  const name = dropQuery(url).split('/').at(-1);
  const place = name ? `${name}/${id}` : id;
  // Before a colon, the name would be a scheme (RFC 3986, 4.2).
  return place.includes(':') ? `./${place}` : place;
}

/** The part of a URL that chooses the route: without its query and fragment. */
export function dropQuery(url: string): string {
  return url.split(/[?#]/, 1)[0]!;
}
