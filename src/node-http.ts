import type { ServerResponse } from 'node:http';
import { succeeds } from './succeeds.ts';

/** Node's HTTP module. On Node 26, an import of it loads all of fetch: 10 to 40 ms of a start. */
export const http = process.getBuiltinModule('node:http');

/** Whether an answer has begun. @fastify/express gives `headersSent` another meaning. */
export function hasBegun(response: ServerResponse): boolean {
  return Reflect.get(http.ServerResponse.prototype, 'headersSent', response);
}

/** Whether Node would send a header of this name and value. */
export function isHeader(name: string, value: unknown): boolean {
  return succeeds(() => {
    http.validateHeaderName(name);
    http.validateHeaderValue(name, value as string);
  });
}
