import { hash } from 'node:crypto';
import createError from '@fastify/error';
import type { Ajv } from 'ajv';
import type { FastifyRequest } from 'fastify';
import type { Static, TSchema } from 'typebox';
import { type Dispatcher, Pool } from 'undici';
import manifest from '../../package.json' with { type: 'json' };
import { toError } from '../../src/error-log.ts';
import { readJson } from '../../src/json-limits.ts';
import { readPath } from '../../src/request-log.ts';
import { compileSchema, createAjv } from '../validation/ajv.ts';

/** The most bytes of an answer. A page of a hundred notes may have six million. */
const MAX_ANSWER_BYTES = 8 * 1024 * 1024;

/** How long an idle connection is kept, in milliseconds. Less than the other app's 125 s. */
const KEEP_ALIVE_MS = 60_000;

/** Codes of an idle connection that the other app has closed, or of an app that is starting. */
const DISCONNECTED = ['ECONNREFUSED', 'ECONNRESET', 'EPIPE', 'UND_ERR_SOCKET'];

/** For each answer, a signal that is aborted when it closes. A long answer may ask many times. */
const closeSignals = new WeakMap<object, AbortSignal>();

type Reason = [string, ErrorOptions?];

const Failed = createError<Reason>('BACKING_APP_FAILED', 'The backing app failed: %s', 502);
const Late = createError<Reason>('BACKING_APP_LATE', 'The backing app is late: %s', 504);

/** Who asks: a request, or a job by `{ signal, id }` of its run. */
type Caller = Pick<FastifyRequest, 'signal' | 'id'> &
  Partial<Pick<FastifyRequest, 'headers' | 'compileValidationSchema' | 'raw'>>;

export class BackingAppClient {
  /** The name of this app in the Via header (RFC 9110, 7.6.3), the same in all its processes. */
  readonly pseudonym: string;
  readonly #path: string;
  readonly #credentials: string | undefined;
  readonly #timeoutMs: number;
  readonly pool: Pool;
  /** For jobs, which know no schemas of app.addSchema. */
  #ajv: Ajv | undefined;

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
   * Sends GET `path`, below BACKING_APP_URL, to the other app, and checks the answer.
   *
   * @param schema a constant, because what is compiled for each new object is kept. A time is text:
   * `Type.String({ format: 'date-time' })`. In a job, it cannot refer to schemas of app.addSchema
   * @param caller the request, or `{ signal, id }` of a job's run
   * @param authorization undefined means the credentials of BACKING_APP_URL. The caller's token is
   * `request.headers.authorization ?? ''`
   * @throws an error with status 503 without BACKING_APP_URL, 504 if the app is late, or else 502.
   * Its `cause` has the other app's status code as `status`, if that was not 200
   */
  async get<Schema extends TSchema>(
    path: string,
    schema: Schema,
    caller: Caller,
    authorization?: string,
  ): Promise<Static<Schema>> {
    const answer = await this.ask(path, caller, authorization).catch(reject);
    // validateInput would prefer the schema of the route's own body.
    const check =
      caller.compileValidationSchema?.(schema as object, 'body') ?? this.#compile(schema);
    if (!check(answer)) throw new Failed('its answer does not match the schema');
    return answer as Static<Schema>;
  }

  #compile(schema: TSchema) {
    this.#ajv ??= createAjv({ validateSchema: false });
    return compileSchema(this.#ajv, schema);
  }

  /** Sends GET `path`. If the connection was closed, sends it again. Rejects if that fails. */
  async ask(path: string, caller?: Caller, authorization = this.#credentials): Promise<unknown> {
    const late = AbortSignal.timeout(this.#timeoutMs);
    const via = [caller?.headers?.via, `1.1 ${this.pseudonym}`].filter(Boolean).join(', ');
    const options: Dispatcher.RequestOptions = {
      method: 'GET',
      path: this.#path + path,
      signal: caller ? AbortSignal.any([readSignal(caller), late]) : late,
      headers: { via, authorization: authorization || undefined, 'x-request-id': caller?.id },
    };
    const { statusCode, body } = await this.pool.request(options).catch((error) => {
      if (!DISCONNECTED.includes(error.code)) throw error;
      return this.pool.request(options);
    });
    if (statusCode === 200) return readJson('its answer', body, MAX_ANSWER_BYTES);
    // Its rest, if there is one, may take long.
    body.dump().catch(() => undefined);
    const message = `it answered ${statusCode} to GET ${readPath(path)}`;
    throw Object.assign(new Error(message), { status: statusCode });
  }
}

/** Fastify aborts request.signal as soon as a request's body has been read. */
function readSignal(caller: Caller): AbortSignal {
  const answer = caller.raw?.openRequest?.reply?.raw;
  if (!answer) return caller.signal;
  const known = closeSignals.get(answer);
  if (known) return known;
  const controller = new AbortController();
  answer.once('close', () => controller.abort());
  closeSignals.set(answer, controller.signal);
  return controller.signal;
}

function reject(thrown: unknown): never {
  const cause: Error & { code?: unknown } = toError(thrown);
  // The code of a DOMException is a number.
  const isLate = cause.name === 'TimeoutError' || `${cause.code}`.endsWith('_TIMEOUT');
  throw new (isLate ? Late : Failed)(cause.message, { cause });
}
