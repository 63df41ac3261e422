import { execFileSync } from 'node:child_process';
import path from 'node:path';
import { makeFolder } from './processes.ts';

const OPTIONS = '-x509 -nodes -newkey ec -pkeyopt ec_paramgen_curve:P-256 -subj /CN=localhost';

/** Creates the files of an untrusted certificate for localhost and 127.0.0.1, and of its key. */
export async function createCertificate(): Promise<{ cert: string; key: string }> {
  const folder = await makeFolder('certificate');
  const [cert, key] = [path.join(folder, 'cert.pem'), path.join(folder, 'key.pem')];
  const names = ['-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1'];
  const files = ['-keyout', key, '-out', cert, ...names];
  execFileSync('openssl', ['req', ...OPTIONS.split(' '), ...files], { stdio: 'pipe' });
  return { cert, key };
}
