import fc, { type Arbitrary } from 'fast-check';
import type { Operation, Parameter } from './document.ts';
import { generateNearlyValid, generateValid } from './values.ts';

export interface GeneratedRequest {
  /** The path's parameters, percent-encoded; EXISTING stands for an existing note's id. */
  path: Record<string, string>;
  /** The query's names and values, percent-encoded. */
  query: [string, string][];
  contentType?: string | undefined;
  body?: string | undefined;
}

/** A placeholder for an id that is known only when the request is sent. */
export const EXISTING = 'existing';

/** Generates requests for an operation: valid, nearly valid, and random ones. */
export function generateRequest({ parameters, body }: Operation): Arbitrary<GeneratedRequest> {
  const inPath = parameters.filter((parameter) => parameter.in === 'path');
  const inQuery = parameters.filter((parameter) => parameter.in === 'query');
  return fc.record({
    path: fc.record(
      Object.fromEntries(inPath.map((parameter) => [parameter.name, generateSegment(parameter)])),
    ),
    query: fc.oneof(
      { weight: 2, arbitrary: generateFields(inQuery) },
      { weight: 1, arbitrary: generateAnyFields(inQuery) },
    ),
    contentType: body ? generateContentType() : fc.constant(undefined),
    body: body ? generateBody(body) : fc.constant(undefined),
  });
}

function generateSegment({ schema }: Parameter): Arbitrary<string> {
  const broken = fc.constantFrom(
    '%',
    '%zz',
    '%c0%af',
    '%00',
    '%ff',
    '.',
    '..',
    '%2e%2e',
    '%2f',
    '0',
    'null',
    '-1',
    '[]',
  );
  return fc.oneof(
    { weight: 4, arbitrary: fc.constant(EXISTING) },
    { weight: 2, arbitrary: generateValid(schema).map(toText) },
    { weight: 2, arbitrary: generateNearlyValid(schema).map(toText).filter(Boolean) },
    {
      weight: 1,
      arbitrary: fc
        .string({ unit: 'binary', minLength: 1, maxLength: 150 })
        .map(encodeURIComponent),
    },
    { weight: 1, arbitrary: broken },
  );
}

/** Each parameter at most once. */
function generateFields(parameters: Parameter[]): Arbitrary<[string, string][]> {
  const fields = parameters.map(({ name, schema }) =>
    fc.option(generateValid(schema).map((value): [string, string] => [name, toText(value)])),
  );
  return fc.tuple(...fields).map((given) => given.filter((field) => field !== null));
}

function generateAnyFields(parameters: Parameter[]): Arbitrary<[string, string][]> {
  const known = parameters.map(({ name, schema }) =>
    fc
      .oneof(generateValid(schema), generateNearlyValid(schema))
      .map((value): [string, string] => [name, toText(value)]),
  );
  const text = fc.string({ unit: 'binary', maxLength: 20 }).map(encodeURIComponent);
  const value = fc.oneof(
    text,
    fc
      .constantFrom('%', '%zz', '%00', '1e1', ' 5', '%205', '05', '+5', '0x10', 'NaN')
      .map((v) => v.trim()),
  );
  const names = fc.oneof(
    fc.constantFrom(...parameters.map(({ name }) => name), '__proto__', 'limit[]', 'a'),
    text,
  );
  return fc.array(fc.oneof(...known, fc.tuple(names, value)), { maxLength: 4 });
}

function generateContentType(): Arbitrary<string | undefined> {
  const others = [
    'application/json; charset=utf-8',
    'APPLICATION/JSON',
    'text/plain',
    'application/xml',
    'json',
    '/',
    ';',
  ];
  return fc.oneof(
    { weight: 8, arbitrary: fc.constant('application/json') },
    { weight: 1, arbitrary: fc.constantFrom(undefined, ...others) },
  );
}

function generateBody(schema: NonNullable<Operation['body']>): Arbitrary<string | undefined> {
  return fc.oneof(
    { weight: 6, arbitrary: generateValid(schema).map((value) => JSON.stringify(value)) },
    { weight: 6, arbitrary: generateNearlyValid(schema).map((value) => JSON.stringify(value)) },
    { weight: 2, arbitrary: fc.json() },
    { weight: 1, arbitrary: fc.string({ unit: 'binary', maxLength: 100 }) },
    { weight: 1, arbitrary: fc.constant(undefined) },
  );
}

function toText(value: unknown): string {
  const text = typeof value === 'string' ? value : JSON.stringify(value);
  return encodeURIComponent(text.toWellFormed());
}
