import { createHash } from 'node:crypto';
import createError from '@fastify/error';
import type { FastifyRequest } from 'fastify';
import fp from 'fastify-plugin';
import { type Static, type TSchema, Type } from 'typebox';
import type { Pool } from 'undici';
import manifest from '../package.json' with { type: 'json' };
import { readPath } from '../src/request-log.ts';

/** The most bytes of an answer: a page of a hundred notes of the greatest size is five million. */
const MAX_ANSWER_BYTES = 8 * 1024 * 1024;

/**
 * How long an idle connection is kept, in milliseconds: less than this app's own 125 s, from which
 * the other is made.
 */
const KEEP_ALIVE_MS = 60_000;

export const settings = Type.Object({
  BACKING_APP_URL: Type.Optional(
    Type.String({
      format: 'uri',
      pattern: '^https?://[^/?#]+(/[^?#]*)?$',
      secret: true,
      description: 'Another app with the API of this one; not attached where unset',
      expected: 'an http:// or https:// URL without a query',
      remedy:
        'Set BACKING_APP_URL=https://host/base, with user:password@ before the host where it asks for them',
    }),
  ),
});

type BackingAppSettings = Static<typeof settings>;

declare module './env/index.ts' {
  interface Config extends BackingAppSettings {}
}

declare module 'fastify' {
  interface FastifyInstance {
    backingApp: BackingApp;
  }
}

export interface BackingApp {
  /**
   * The answer of GET `path` of the other app, checked against the schema.
   *
   * @param path with its query, below the path of BACKING_APP_URL
   * @throws an error with status code 503 where no app is attached, 504 where it is late, 502 where
   * it fails otherwise
   */
  get<Schema extends TSchema>(
    path: string,
    schema: Schema,
    request: FastifyRequest,
  ): Promise<Static<Schema>>;
}

const NotAttached = createError('BACKING_APP_NOT_ATTACHED', 'BACKING_APP_URL is not set', 503);
const Failed = createError<[string, ErrorOptions?]>(
  'BACKING_APP_FAILED',
  'The backing app failed: %s',
  502,
);
const Late = createError<[string, ErrorOptions?]>(
  'BACKING_APP_LATE',
  'The backing app is late: %s',
  504,
);
const LoopDetected = createError('LOOP_DETECTED', 'The request came from this app itself', 508);

/**
 * Another app behind BACKING_APP_URL as `app.backingApp`: with the seventh factor, one app is the
 * service of another.
 */
export default fp(
  async (app) => {
    const { BACKING_APP_URL, REQUEST_TIMEOUT_MS } = app.config;
    if (!BACKING_APP_URL)
      return void app.decorate('backingApp', { get: () => Promise.reject(new NotAttached()) });

    const { Pool } = await import('undici');
    const url = new URL(BACKING_APP_URL);
    const client = new BackingAppClient(
      url,
      (options) => new Pool(url.origin, options),
      REQUEST_TIMEOUT_MS * 0.8,
    );
    app.decorate('backingApp', client);
    app.readiness.attach({ name: 'backing-app', required: false, check: () => client.check() });
    // An app that is attached to itself, directly or around a corner, would ask itself for ever.
    app.addHook('onRequest', async ({ headers }) => {
      if (headers.via?.includes(client.pseudonym)) throw new LoopDetected();
    });
    app.addHook('onClose', async () => client.close());
  },
  { name: 'backing-app', dependencies: ['readiness', 'errors', 'validation'] },
);

class BackingAppClient implements BackingApp {
  /** Names this app in the Via header (RFC 9110, 7.6.3), the same in all its processes. */
  readonly pseudonym: string;
  readonly #path: string;
  readonly #credentials: Record<string, string>;
  readonly #timeoutMs: number;
  readonly #pool: Pool;

  constructor(url: URL, createPool: (options: Pool.Options) => Pool, timeoutMs: number) {
    const { origin, pathname, username, password } = url;
    const basic = Buffer.from(
      `${decodeURIComponent(username)}:${decodeURIComponent(password)}`,
    ).toString('base64');
    this.#credentials = username || password ? { authorization: `Basic ${basic}` } : {};
    this.#path = pathname.replace(/\/$/, '');
    this.#timeoutMs = timeoutMs;
    this.pseudonym = `${manifest.name}-${createHash('sha256')
      .update(origin + pathname)
      .digest('hex')
      .slice(0, 16)}`;
    this.#pool = createPool({
      connections: 50,
      connect: { timeout: timeoutMs / 4 },
      headersTimeout: timeoutMs,
      bodyTimeout: timeoutMs,
      keepAliveTimeout: KEEP_ALIVE_MS,
      maxResponseSize: MAX_ANSWER_BYTES,
    });
  }

  async get<Schema extends TSchema>(
    path: string,
    schema: Schema,
    request: FastifyRequest,
  ): Promise<Static<Schema>> {
    const signal = AbortSignal.any([request.signal, AbortSignal.timeout(this.#timeoutMs)]);
    const answer = await this.#ask(path, signal, {
      'x-request-id': request.id,
      ...this.#identify(request),
    }).catch(reject);
    if (!request.validateInput(answer, schema, 'body'))
      throw new Failed('its answer is not what its API says');
    return answer as Static<Schema>;
  }

  async check(): Promise<void> {
    await this.#ask('/health/live', AbortSignal.timeout(this.#timeoutMs), this.#identify());
  }

  close(): Promise<void> {
    return this.#pool.destroy();
  }

  #identify(request?: FastifyRequest): Record<string, string> {
    return { via: [request?.headers.via, `1.1 ${this.pseudonym}`].filter(Boolean).join(', ') };
  }

  async #ask(path: string, signal: AbortSignal, headers: Record<string, string>): Promise<unknown> {
    const options = {
      method: 'GET',
      path: this.#path + path,
      signal,
      headers: { ...this.#credentials, ...headers },
    } as const;
    const ask = () => this.#pool.request(options);
    // A connection may have been closed by the other side while it was idle, or the other app is
    // just starting anew.
    const { statusCode, body } = await ask().catch((error) =>
      isDisconnected(error) ? ask() : Promise.reject(error),
    );
    if (statusCode === 200) return body.json();
    await body.dump();
    throw new Error(`it answered ${statusCode} to GET ${readPath(path)}`);
  }
}

function isDisconnected({ code = '' }: NodeJS.ErrnoException): boolean {
  return ['ECONNREFUSED', 'ECONNRESET', 'EPIPE', 'UND_ERR_SOCKET'].includes(code);
}

function reject(cause: NodeJS.ErrnoException): never {
  const isLate = cause.name === 'TimeoutError' || cause.code?.endsWith('_TIMEOUT');
  throw new (isLate ? Late : Failed)(cause.message, { cause });
}
