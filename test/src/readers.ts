import { globSync } from 'node:fs';
import { type IncomingMessage, maxHeaderSize } from 'node:http';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import type { FastifyRequest } from 'fastify';
import { Type } from 'typebox';
import { refuseRequest, rewriteUrl } from '../../plugins/errors/refuse-request.ts';
import { readRequestId } from '../../plugins/request-id.ts';
import { createAjv } from '../../plugins/validation/ajv.ts';
import { compileBody } from '../../plugins/validation/body.ts';
import { isStorable, storableText } from '../../plugins/validation/schemas.ts';
import { compileText } from '../../plugins/validation/text.ts';
import { cleanAddress } from '../../src/client-address.ts';
import { locate } from '../../src/location.ts';
import { createLogger } from '../../src/logger.ts';
import { hideSecrets, hideSecretsInLine } from '../../src/redaction.ts';
import { readPath } from '../../src/request-log.ts';

type Read = (text: string) => unknown;

/** Functions that parse client or server bytes. `prepare` makes their input if it is not text. */
export type Readers = Record<string, [read: Read, prepare?: (text: string) => string]>;

const logger = createLogger({ write: () => undefined });

const checkQuery = compileText(
  createAjv({ allErrors: true, coerceTypes: 'array' }),
  Type.Object({ limit: Type.Integer(), after: Type.String({ format: 'uuid' }) }),
);

const all = createAjv({ allErrors: true });

const checkBody = compileBody(
  createAjv(),
  () => all,
  Type.Object({ title: storableText({ maxLength: 200 }) }, { additionalProperties: false }),
);

/** All formats of text. */
const formats: Readers = Object.fromEntries(
  Object.keys(all.formats).map((format) => [
    `the format ${format}`,
    [all.compile({ type: 'string', format })],
  ]),
);

/** Node refuses longer headers. */
export function inHeaders(read: Read): Read {
  return (text) => read(text.slice(0, maxHeaderSize));
}

function rewrite(url: string): string {
  return rewriteUrl({ method: 'GET', url } as IncomingMessage);
}

function refuse(headers: object): unknown {
  const raw = { httpVersion: '1.1', httpVersionMajor: 1 };
  return refuseRequest({ headers, raw, url: '/', originalUrl: '/' } as unknown as FastifyRequest);
}

/** A log line with the escaped text, cut to the length of the text: escapes are longer. */
function writeLine(text: string): string {
  const escaped = JSON.stringify(text).slice(1, 1 + text.length);
  return `{"token":1,"a":"${escaped.replace(/\\(u[\da-f]{0,3})?$/, '')}"}\n`;
}

function writeList(text: string): string {
  return `{"token":1,"a":[${'"?",'.repeat(text.length / 4)}1]}\n`;
}

/** The app's own parsers, with the limits of their input. */
export const readers: Readers = {
  'rewriteUrl of a path': [inHeaders((url) => rewrite(`/${url}`))],
  'rewriteUrl of a URL': [inHeaders((url) => rewrite(`http://${url}`))],
  'refuseRequest of Host': [inHeaders((host) => refuse({ host }))],
  'refuseRequest of Expect': [inHeaders((expect) => refuse({ host: '', expect }))],
  readRequestId: [inHeaders((id) => readRequestId({ headers: { 'x-request-id': id } }))],
  cleanAddress: [inHeaders(cleanAddress)],
  'compileText of an integer': [inHeaders((limit) => checkQuery({ limit }))],
  'compileText of an id': [inHeaders((after) => checkQuery({ after }))],
  'compileText of a name': [inHeaders((name) => checkQuery({ [name]: '1' }))],
  'compileBody of text': [(title) => checkBody({ title })],
  'compileBody of a name': [(name) => checkBody({ [name]: 1 })],
  ...formats,
  isStorable: [isStorable],
  locate: [inHeaders((path) => locate({ url: `/${path}` }, '1'))],
  readPath: [inHeaders(readPath)],
  hideSecrets: [hideSecrets],
  'hideSecretsInLine of a text': [hideSecretsInLine, writeLine],
  'hideSecretsInLine of a list': [hideSecretsInLine, writeList],
  'the log of an error': [(text) => logger.error({ err: new Error(text) }, 'request failed')],
};

/** Adds the parsers of the existing plugins. */
export async function findReaders(): Promise<[name: string, ...Readers[string]][]> {
  const folder = path.join(import.meta.dirname, '..');
  const files = globSync('**/readers.ts', { cwd: folder }).map((file) => path.join(folder, file));
  const found: [string, ...Readers[string]][] = [];
  for (const file of files) {
    const module: { readers: Readers } = await import(pathToFileURL(file).href);
    for (const [name, reader] of Object.entries(module.readers)) found.push([name, ...reader]);
  }
  return found;
}
