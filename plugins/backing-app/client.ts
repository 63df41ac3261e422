import { hash } from 'node:crypto';
import createError from '@fastify/error';
import type { FastifyRequest } from 'fastify';
import type { Static, TSchema } from 'typebox';
import { type Dispatcher, Pool } from 'undici';
import manifest from '../../package.json' with { type: 'json' };
import { readPath } from '../../src/request-log.ts';

/** The most bytes of an answer: a page of a hundred notes of the greatest size is five million. */
const MAX_ANSWER_BYTES = 8 * 1024 * 1024;

/** How long an idle connection is kept, in milliseconds: less than the other app's 125 s. */
const KEEP_ALIVE_MS = 60_000;

/** The other side has closed an idle connection, or is just starting. */
const DISCONNECTED = ['ECONNREFUSED', 'ECONNRESET', 'EPIPE', 'UND_ERR_SOCKET'];

type Reason = [string, ErrorOptions?];

const Failed = createError<Reason>('BACKING_APP_FAILED', 'The backing app failed: %s', 502);
const Late = createError<Reason>('BACKING_APP_LATE', 'The backing app is late: %s', 504);

/** Asks another app for what it has. */
export class BackingAppClient {
  /** Names this app in the Via header (RFC 9110, 7.6.3), the same in all its processes. */
  readonly pseudonym: string;
  readonly #path: string;
  readonly #credentials: string | undefined;
  readonly #timeoutMs: number;
  readonly pool: Pool;

  constructor({ origin, pathname, username, password }: URL, timeoutMs: number) {
    this.pseudonym = `${manifest.name}-${hash('sha256', origin + pathname).slice(0, 16)}`;
    this.#path = pathname.replace(/\/$/, '');
    const credentials = [username, password].map(decodeURIComponent).join(':');
    if (credentials !== ':')
      this.#credentials = `Basic ${Buffer.from(credentials).toString('base64')}`;
    this.#timeoutMs = timeoutMs;
    this.pool = new Pool(origin, {
      connections: 50,
      connect: { timeout: timeoutMs / 4 },
      keepAliveTimeout: KEEP_ALIVE_MS,
      maxResponseSize: MAX_ANSWER_BYTES,
    });
  }

  /**
   * The answer of GET `path` of the other app, checked against the schema.
   *
   * @param path with its query, below the path of BACKING_APP_URL
   * @param authorization sent instead of the credentials of BACKING_APP_URL: the caller's token is
   * passed on only where a route gives `request.headers.authorization`
   * @throws an error with status code 503 where no app is attached, 504 where it is late, 502 where
   * it fails otherwise
   */
  async get<Schema extends TSchema>(
    path: string,
    schema: Schema,
    request: FastifyRequest,
    authorization?: string,
  ): Promise<Static<Schema>> {
    const answer = await this.ask(path, request, authorization).catch(reject);
    if (!request.validateInput(answer, schema, 'body'))
      throw new Failed('its answer is not what its API says');
    return answer as Static<Schema>;
  }

  /** GET `path` of the other app, twice where its connection was closed; rejects where it fails. */
  async ask(
    path: string,
    request?: FastifyRequest,
    authorization = this.#credentials,
  ): Promise<unknown> {
    const late = AbortSignal.timeout(this.#timeoutMs);
    const via = [request?.headers.via, `1.1 ${this.pseudonym}`].filter(Boolean).join(', ');
    const options: Dispatcher.RequestOptions = {
      method: 'GET',
      path: this.#path + path,
      signal: request ? AbortSignal.any([request.signal, late]) : late,
      headers: {
        via,
        ...(authorization && { authorization }),
        ...(request && { 'x-request-id': request.id }),
      },
    };
    const { statusCode, body } = await this.pool.request(options).catch((error) => {
      if (!DISCONNECTED.includes(error.code)) throw error;
      return this.pool.request(options);
    });
    if (statusCode === 200) return body.json();
    await body.dump();
    throw new Error(`it answered ${statusCode} to GET ${readPath(path)}`);
  }
}

function reject(cause: NodeJS.ErrnoException): never {
  const isLate = cause.name === 'TimeoutError' || cause.code?.endsWith('_TIMEOUT');
  throw new (isLate ? Late : Failed)(cause.message, { cause });
}
