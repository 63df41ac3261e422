import { once } from 'node:events';
import { createServer, type RequestListener } from 'node:http';
import { exportJWK, generateKeyPair, type JWK, type JWTHeaderParameters, SignJWT } from 'jose';
import type { Test } from 'tap';
import { type Environment, findFreePort } from '../../helper.ts';

export const AUDIENCE = 'poort';

/** What a token says, beside what all have. */
export type Claims = Record<string, unknown>;

/** An OpenID Connect issuer, as far as an app that checks tokens can see. */
export class TestIssuer {
  readonly url: string;
  /** The paths that it was asked for. */
  readonly requests: string[] = [];
  /** The public keys that it publishes. */
  readonly published: JWK[] = [];
  /** What it answers instead of its documents, by path. */
  readonly answers: Record<string, RequestListener> = {};
  readonly #keys = new Map<string, CryptoKey>();
  readonly #port: number;
  #server = createServer();

  constructor(port: number) {
    this.#port = port;
    this.url = `http://127.0.0.1:${port}`;
  }

  get environment(): Environment {
    return { AUTH_ISSUER_URL: this.url, AUTH_AUDIENCE: AUDIENCE };
  }

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
    await once(this.#server.listen(this.#port, '127.0.0.1'), 'listening');
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
    if (this.#server.listening) await once(this.#server, 'close');
  }

  /** Makes a key, and publishes it. */
  async addKey(alg: string, kid: string): Promise<void> {
    const { publicKey, privateKey } = await generateKeyPair(alg);
    this.#keys.set(kid, privateKey);
    this.published.push({ ...(await exportJWK(publicKey)), kid, alg, use: 'sig' });
  }

  /** A token as the issuer gives it, with other claims and fields of the header where they are given. */
  sign(claims: Claims = {}, header: Partial<JWTHeaderParameters> = {}): Promise<string> {
    const now = Math.floor(Date.now() / 1_000);
    const { alg = 'ES256', kid = alg } = header;
    const payload = { iss: this.url, aud: AUDIENCE, sub: 'alice', iat: now, exp: now + 600 };
    return new SignJWT({ ...payload, ...claims })
      .setProtectedHeader({ alg, kid, typ: 'at+jwt', ...header })
      .sign(this.#keys.get(kid ?? alg) as CryptoKey);
  }
}

/** An issuer with one key, named like its algorithm; closed after the test. */
export async function startIssuer(t: Test, algorithms = ['ES256']): Promise<TestIssuer> {
  const issuer = new TestIssuer(await findFreePort());
  for (const alg of algorithms) await issuer.addKey(alg, alg);
  await issuer.start();
  t.teardown(() => issuer.stop());
  return issuer;
}
