import path from 'node:path';
import { buildApp } from '../build.ts';

/** A program that listens on PORT of the loopback address and answers GET / with 200. */
export interface Contestant {
  name: string;
  /** The arguments of Node. */
  args: string[];
  environment?: Record<string, string>;
}

/** The baseline of all contestants. */
export const BARE = 'bare Fastify';

export const APP = 'Poort, built';

export const RAW = 'raw node:http';

export const LOGGING = 'bare Fastify, its logging';

export function bareFastify(environment: Record<string, string> = {}): Contestant {
  return { name: BARE, args: [findProgram('bare-fastify.js')], environment };
}

export function rawHttp(): Contestant {
  return { name: RAW, args: [findProgram('raw-http.cjs')] };
}

export function loggingFastify(): Contestant {
  return { name: LOGGING, args: [findProgram('logging-fastify.js')] };
}

export function templateFastify(): Contestant {
  return { name: "fastify-cli's template, logging", args: [findProgram('template-fastify.js')] };
}

export function pluginsFastify(): Contestant {
  return { name: 'production plugins, logging', args: [findProgram('plugins-fastify.js')] };
}

export function notesFastify(databaseUrl: string): Contestant {
  return {
    name: 'bare Fastify and pg',
    args: [findProgram('notes-fastify.js')],
    environment: { DATABASE_URL: databaseUrl },
  };
}

/** The built app with its defaults, and a rate limit that is counted but never reached. */
export function builtApp(
  databaseUrl: string,
  { folder = buildApp(), name = APP, workers = 1 } = {},
): Contestant {
  const environment = {
    HOST: '127.0.0.1',
    DATABASE_URL: databaseUrl,
    RATE_LIMIT_MAX: '1000000000',
    SHUTDOWN_DELAY_MS: '0',
    WEB_CONCURRENCY: `${workers}`,
  };
  return { name, args: [path.join(folder, 'dist/src/web.js')], environment };
}

function findProgram(file: string): string {
  return path.join(import.meta.dirname, 'contestants', file);
}
