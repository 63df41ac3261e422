import { fastifyLeaks } from './leaks/fastify.ts';
import { httpLeaks } from './leaks/http.ts';
import { ownLeaks } from './leaks/own.ts';
import { postgresLeaks } from './leaks/postgres.ts';
import { redisLeaks } from './leaks/redis.ts';

/** The servers that cause real errors. */
export interface Servers {
  postgresUrl: string;
  redisUrl: string;
  /** Answers each request with 401, and repeats the query in a cookie and the body. */
  httpUrl: string;
}

/** Returns or throws a value to log: an error, fields or a text that contains the secret. */
export type Leak = (secret: string, servers: Servers) => unknown;

export type Leaks = Record<string, Leak>;

/** All leaks by name. */
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
