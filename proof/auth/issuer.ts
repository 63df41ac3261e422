import { once } from 'node:events';
import { createServer, type RequestListener, type Server } from 'node:http';
import { exportJWK, generateKeyPair, type JWK } from 'jose';
import { Provider } from 'oidc-provider';
import { findPort } from '../processes.ts';

export const AUDIENCE = 'https://api.example.com';
export const ALGORITHMS = ['RS256', 'ES256', 'EdDSA'] as const;
const CLIENT = { client_id: 'proof', client_secret: 'secret-of-the-proof' };

/** oidc-provider, a certified issuer, which issues JWT access tokens for client credentials. */
export class RealIssuer implements AsyncDisposable {
  readonly url: string;
  readonly #port: number;
  /** The number of requests for its keys. */
  asked = 0;
  #keys: JWK[];
  #answer: RequestListener;
  #server: Server | undefined;

  private constructor(port: number, keys: JWK[]) {
    this.#port = port;
    this.#keys = keys;
    this.url = `http://127.0.0.1:${port}`;
    this.#answer = this.#createAnswer();
  }

  static async create(): Promise<RealIssuer> {
    const keys = await Promise.all(ALGORITHMS.map((alg) => createKey(alg)));
    const issuer = new RealIssuer(await findPort(), keys);
    await issuer.start();
    return issuer;
  }

  async start(): Promise<void> {
    this.#server = createServer((request, response) => {
      if (request.url === '/jwks') this.asked += 1;
      this.#answer(request, response);
    }).listen(this.#port, '127.0.0.1');
    await once(this.#server, 'listening');
  }

  /** Returns the private key for an algorithm. */
  findKey(alg: string): JWK {
    return this.#keys.find((key) => key.alg === alg) as JWK;
  }

  /** Publishes other keys at once. The first key of an algorithm signs. */
  publish(change: (keys: JWK[]) => JWK[]): void {
    this.#keys = change(this.#keys);
    this.#answer = this.#createAnswer();
  }

  #createAnswer(): RequestListener {
    const getResourceServerInfo = (_context: unknown, resource: string) => ({
      scope: 'notes:read notes:write',
      audience: AUDIENCE,
      accessTokenFormat: 'jwt' as const,
      jwt: { sign: { alg: resource.split('/').at(-1) as 'RS256' } },
    });
    const provider = new Provider(this.url, {
      jwks: { keys: this.#keys } as never,
      clients: [
        { ...CLIENT, grant_types: ['client_credentials'], redirect_uris: [], response_types: [] },
      ],
      features: {
        devInteractions: { enabled: false },
        clientCredentials: { enabled: true },
        resourceIndicators: { enabled: true, getResourceServerInfo },
      },
    });
    return provider.callback();
  }

  /** Requests a token as a client does. */
  async ask(alg: string, scope = ''): Promise<string> {
    const answer = await fetch(`${this.url}/token`, {
      method: 'POST',
      body: new URLSearchParams({
        ...CLIENT,
        grant_type: 'client_credentials',
        resource: `${AUDIENCE}/${alg}`,
        scope,
      }),
    });
    const { access_token } = (await answer.json()) as { access_token: string };
    return access_token;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server?.closeAllConnections();
    this.#server?.close();
  }
}

export async function createKey(alg: string, kid = `key-${alg}`): Promise<JWK> {
  const { privateKey } = await generateKeyPair(alg, { extractable: true });
  return { ...(await exportJWK(privateKey)), alg, kid, use: 'sig' };
}
