import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer, type Server } from 'node:https';
import path from 'node:path';
import { findPort, makeFolder } from '../processes.ts';

/** A server at https: whose certificate nobody vouches for. */
export async function startUntrusted(): Promise<{ url: string; server: Server }> {
  const folder = await makeFolder('certificate');
  const [cert, key] = ['cert.pem', 'key.pem'].map((name) => path.join(folder, name)) as [
    string,
    string,
  ];
  const options = '-x509 -nodes -newkey ec -pkeyopt ec_paramgen_curve:P-256 -subj /CN=localhost';
  const files = ['-keyout', key, '-out', cert, '-addext', 'subjectAltName=DNS:localhost'];
  execFileSync('openssl', ['req', ...options.split(' '), ...files], { stdio: 'pipe' });
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
