import { once } from 'node:events';
import { createServer, type RequestListener } from 'node:http';
import type { FastifyInstance, InjectOptions } from 'fastify';
import {
  CompactSign,
  exportJWK,
  generateKeyPair,
  type JWK,
  type JWTHeaderParameters,
  SignJWT,
} from 'jose';
import type { Test } from 'tap';
import { type Environment, findFreePort } from '../../helper.ts';

export const AUDIENCE = 'poort';

/** A token's additional claims. */
export type Claims = Record<string, unknown>;

/** The parts of an OpenID Connect issuer that an app uses to check tokens. */
export class TestIssuer {
  url = '';
  /** The paths of its requests. */
  readonly requests: string[] = [];
  /** The public keys that it publishes. */
  readonly published: JWK[] = [];
  /** Answers instead of its documents, by path. */
  readonly answers: Record<string, RequestListener> = {};
  readonly #keys = new Map<string, CryptoKey>();
  #port = 0;
  #server = createServer();

  get environment(): Environment {
    return { AUTH_ISSUER_URL: this.url, AUTH_AUDIENCE: AUDIENCE };
  }

  /** Listens; after stop(), on the same port again. */
  async start(): Promise<void> {
    this.#server = createServer((request, response) => {
      const path = request.url as string;
      this.requests.push(path);
      if (this.answers[path]) return this.answers[path](request, response);
      const document = path.endsWith('/jwks')
        ? { keys: this.published }
        : { issuer: this.url, jwks_uri: `${this.url}/jwks` };
      response.end(JSON.stringify(document));
    });
    this.#port ||= await findFreePort();
    await once(this.#server.listen(this.#port, '127.0.0.1'), 'listening');
    this.url = `http://127.0.0.1:${this.#port}`;
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
    if (this.#server.listening) await once(this.#server, 'close');
  }

  /** Creates a key, and publishes it with changed members. */
  async addKey(alg: string, kid: string, change: object = {}): Promise<void> {
    const { publicKey, privateKey } = await generateKeyPair(alg);
    this.#keys.set(kid, privateKey);
    this.published.push({ ...(await exportJWK(publicKey)), kid, alg, use: 'sig', ...change });
  }

  /** Signs a token, with additional or changed claims and header fields. */
  sign(claims: Claims = {}, header: Claims = {}): Promise<string> {
    const { alg = 'ES256', kid = alg } = header as JWTHeaderParameters;
    const key = this.#keys.has(kid) ? kid : alg;
    return this.#sign(claims, { alg, kid, typ: 'at+jwt', ...header }, key);
  }

  /** Signs a token with the key of this kid, but without kid in its header. */
  signWithout(kid: string, claims: Claims = {}): Promise<string> {
    return this.#sign(claims, { alg: 'ES256' }, kid);
  }

  /** Signs a text that is not a JSON object. */
  signText(text: string): Promise<string> {
    return new CompactSign(Buffer.from(text))
      .setProtectedHeader({ alg: 'ES256', kid: 'ES256' })
      .sign(this.#keys.get('ES256') as CryptoKey);
  }

  #sign(claims: Claims, header: JWTHeaderParameters, kid: string): Promise<string> {
    const now = Math.floor(Date.now() / 1_000);
    const payload = { iss: this.url, aud: AUDIENCE, sub: 'alice', iat: now, exp: now + 600 };
    return new SignJWT({ ...payload, ...claims })
      .setProtectedHeader(header)
      .sign(this.#keys.get(kid) as CryptoKey, header.crit ? { crit: { b64: true } } : {});
  }
}

/** Starts an issuer with a key per algorithm, named like it; closed after the test. */
export async function startIssuer(t: Test, algorithms = ['ES256']): Promise<TestIssuer> {
  const issuer = new TestIssuer();
  for (const alg of algorithms) await issuer.addKey(alg, alg);
  await issuer.start();
  t.teardown(() => issuer.stop());
  return issuer;
}

/** Returns an inject() that sends this token. */
export function signIn(app: FastifyInstance, token: string) {
  const inject = (request: string | InjectOptions) => {
    const options = typeof request === 'string' ? { url: request } : request;
    const headers = { ...options.headers, authorization: `Bearer ${token}` };
    return app.inject({ ...options, headers });
  };
  return { inject };
}
