import { once } from 'node:events';
import http from 'node:http';
import { text } from 'node:stream/consumers';

export interface ClientAnswer {
  status: number;
  contentType: string | undefined;
  body: string;
}

export interface ClientRequest {
  method: string;
  /** The target as sent, without encoding. */
  target: string;
  contentType?: string | undefined;
  body?: string | undefined;
}

/** A client that sends targets unchanged and keeps its connections. */
export class Client implements Disposable {
  readonly #agent = new http.Agent({ keepAlive: true });
  readonly #url: URL;

  constructor(url: string) {
    this.#url = new URL(url);
  }

  async send({ method, target, contentType, body }: ClientRequest): Promise<ClientAnswer> {
    const { hostname, port } = this.#url;
    const headers = {
      ...(contentType !== undefined && { 'content-type': contentType }),
      ...(body !== undefined && { 'content-length': Buffer.byteLength(body) }),
    };
    const request = http.request({
      agent: this.#agent,
      hostname,
      port,
      method,
      path: target,
      headers,
    });
    request.end(body);
    const [response] = (await once(request, 'response')) as [http.IncomingMessage];
    return {
      status: response.statusCode!,
      contentType: response.headers['content-type'],
      body: await text(response),
    };
  }

  [Symbol.dispose](): void {
    this.#agent.destroy();
  }
}
