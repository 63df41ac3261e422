import assert from 'node:assert/strict';
import type { Answer } from './answer.ts';

/** The maximum number of reported problems. */
const MAX_PROBLEMS = 20;

const PARTS = ['body', 'query', 'path', 'headers'];

/** @throws if an error does not have the common shape */
export function proveShape({ status, headers, body: text }: Answer): void {
  const came = `the error does not have the common shape: ${headers.get('content-type')} ${text}`;
  assert.match(headers.get('content-type') ?? '', /^application\/json/, came);
  const { errors, ...body } = JSON.parse(text);
  assert.deepEqual(Object.keys(body).sort(), ['code', 'error', 'message', 'statusCode'], came);
  assert.equal(body.statusCode, status, came);
  for (const name of ['code', 'error', 'message'])
    assert(typeof body[name] === 'string' && body[name] !== '', came);
  if (body.code === 'FST_ERR_VALIDATION') proveProblems(errors, came);
  else assert.equal(errors, undefined, came);
}

/** Each problem of a schema has its place. */
function proveProblems(errors: unknown, came: string): void {
  assert(Array.isArray(errors) && errors.length >= 1 && errors.length <= MAX_PROBLEMS, came);
  for (const { path, in: part, message, ...others } of errors) {
    assert.match(path, /^(\/[^/]+)*$/, came);
    assert(PARTS.includes(part), came);
    assert(typeof message === 'string' && message !== '', came);
    assert.deepEqual(others, {}, came);
  }
}
