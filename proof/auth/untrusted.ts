import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer, type Server } from 'node:https';
import { createCertificate } from '../certificate.ts';
import { findPort } from '../processes.ts';

/** Starts an https: server with an untrusted certificate. */
export async function startUntrusted(): Promise<{ url: string; server: Server }> {
  const { cert, key } = await createCertificate();
  const port = await findPort();
  const url = `https://localhost:${port}`;
  const document = JSON.stringify({ issuer: url, jwks_uri: `${url}/jwks`, keys: [] });
  const server = createServer(
    { cert: readFileSync(cert), key: readFileSync(key) },
    (_request, response) => void response.end(document),
  );
  await once(server.listen(port), 'listening');
  return { url, server };
}
