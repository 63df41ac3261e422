import { fastifyLeaks } from './leaks/fastify.ts';
import { httpLeaks } from './leaks/http.ts';
import { ownLeaks } from './leaks/own.ts';
import { postgresLeaks } from './leaks/postgres.ts';
import { redisLeaks } from './leaks/redis.ts';

/** Where real errors come from. */
export interface Servers {
  postgresUrl: string;
  redisUrl: string;
  /** A server that answers each request with 401 and its own query as cookie and body. */
  httpUrl: string;
}

/** Gives or throws what is logged: an error, fields or a text. The secret is somewhere in it. */
export type Leak = (secret: string, servers: Servers) => unknown;

export type Leaks = Record<string, Leak>;

/** All of them, with a name. */
export const leaks: [string, Leak][] = [
  ...nameAll('pg', postgresLeaks),
  ...nameAll('ioredis', redisLeaks),
  ...nameAll('a client of HTTP', httpLeaks),
  ...nameAll('Fastify', fastifyLeaks),
  ...nameAll('our own', ownLeaks),
];

function nameAll(source: string, table: Leaks): [string, Leak][] {
  return Object.entries(table).map(([name, leak]) => [`${source}, ${name}`, leak]);
}
