import { execFileSync } from 'node:child_process';
import { chmodSync } from 'node:fs';
import path from 'node:path';
import type { Test } from 'tap';
import { createFolder } from '../helper.ts';
import { findProgram, giveToServer } from './server-process.ts';

export interface Certificate {
  /** The certificate's file. */
  certificate: string;
  /** The key's file, readable only for the servers' user. */
  key: string;
  /** The file of the certificate that has signed it. */
  authority: string;
}

const KEY = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-noenc', '-days', '2'];
const NAMES = ['-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1'];

/** Creates a self-signed certificate for localhost and 127.0.0.1, like Heroku's. */
export async function createCertificate(t: Test): Promise<Certificate> {
  const folder = await createReadableFolder(t);
  const { certificate, key } = create(folder, 'localhost', NAMES);
  return { certificate, key, authority: certificate };
}

/** Creates a certificate for localhost and 127.0.0.1 of an unknown authority, like Amazon's. */
export async function createSignedCertificate(t: Test): Promise<Certificate> {
  const folder = await createReadableFolder(t);
  const authority = create(folder, 'authority', []);
  const signed = [...NAMES, '-addext', 'basicConstraints=critical,CA:FALSE'];
  const { certificate, key } = create(folder, 'localhost', [
    ...signed,
    '-CA',
    authority.certificate,
    '-CAkey',
    authority.key,
  ]);
  return { certificate, key, authority: authority.certificate };
}

async function createReadableFolder(t: Test): Promise<string> {
  const folder = await createFolder(t);
  chmodSync(folder, 0o755);
  return folder;
}

function create(folder: string, name: string, options: string[]): Omit<Certificate, 'authority'> {
  const certificate = path.join(folder, `${name}.pem`);
  const key = path.join(folder, `${name}.key`);
  const files = ['-subj', `/CN=${name}`, '-keyout', key, '-out', certificate];
  execFileSync(findProgram('openssl'), ['req', '-x509', ...KEY, ...files, ...options], {
    stdio: 'pipe',
  });
  chmodSync(key, 0o600);
  giveToServer(key);
  return { certificate, key };
}
