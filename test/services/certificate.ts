import { execFileSync } from 'node:child_process';
import { chmodSync } from 'node:fs';
import path from 'node:path';
import type { Test } from 'tap';
import { createFolder } from '../helper.ts';
import { findProgram, giveToServer } from './server-process.ts';

export interface Certificate {
  /** The certificate's file; whoever trusts it as an authority can verify it. */
  certificate: string;
  /** The key's file, which only the servers' user can read. */
  key: string;
}

/** A certificate for localhost and 127.0.0.1 that is signed by nobody but itself. */
export async function createCertificate(t: Test): Promise<Certificate> {
  const folder = await createFolder(t);
  chmodSync(folder, 0o755);
  const certificate = path.join(folder, 'certificate.pem');
  const key = path.join(folder, 'key.pem');
  const kind = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-noenc', '-days', '2'];
  const names = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1'];
  const files = ['-keyout', key, '-out', certificate];
  execFileSync(findProgram('openssl'), ['req', '-x509', ...kind, ...names, ...files], { stdio: 'pipe' });
  chmodSync(key, 0o600);
  giveToServer(key);
  return { certificate, key };
}
