import Fastify from 'fastify';
import type { Leaks } from '../leaks.ts';

/** Errors of Fastify, with the request that caused them. */
export const fastifyLeaks: Leaks = {
  'a body that is not JSON': (secret) => inject({ payload: `{"password":"${secret}` }),
  'a body that is text': (secret) => inject({ payload: `password=${secret}` }),
  'a body that is too large': (secret) => inject({ payload: JSON.stringify(secret.repeat(20)) }),
  'a body that the schema refuses': (secret) =>
    inject({ payload: JSON.stringify({ password: secret }) }),
  'a query': (secret) => inject({ url: `/%zz?token=${secret}` }),
  'a header of an answer': (secret) => inject({ payload: '{}', headers: { cookie: secret } }),
};

async function inject(options: {
  url?: string;
  payload?: string;
  headers?: Record<string, string>;
}) {
  const app = Fastify({ bodyLimit: 100 });
  const errors: unknown[] = [];
  app.setErrorHandler(async (error) => void errors.push(error));
  const schema = { body: { type: 'object', properties: { password: { type: 'integer' } } } };
  app.post('/', { schema }, async (_request, reply) =>
    reply.header('x-a', `${options.headers?.cookie}\n`).send(),
  );
  const headers = { 'content-type': 'application/json', ...options.headers };
  const answer = await app.inject({ method: 'POST', url: '/', ...options, headers });
  return { err: errors[0], answer: answer.statusMessage, req: options };
}
