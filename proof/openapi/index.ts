// The OpenAPI document: valid by an independent validator, complete, its own examples fit
import assert from 'node:assert/strict';
import { Validator } from '@seriousme/openapi-schema-validator';
import { Ajv2020 } from 'ajv/dist/2020.js';
import addFormats from 'ajv-formats';
import { type RunningApp, startApp } from '../app.ts';
import type { Tally } from '../tally.ts';

/** The operations that the app has to have. It may have more. */
const OPERATIONS = [
  'get /',
  'get /health/live',
  'get /health/ready',
  'get /notes',
  'post /notes',
  'get /notes/{id}',
  'patch /notes/{id}',
  'delete /notes/{id}',
];

/** The document validator does not check schemas, and the schema validator checks nothing else. */
const FAULTY = { paths: { '/': { get: { schema: { type: 'integr' } } } } };

interface Operation {
  summary?: string;
  tags?: string[];
  responses: Record<string, { description?: string }>;
}

interface Document {
  openapi: string;
  info: { title: string; version: string };
  servers: { url: string }[];
  paths: Record<string, Record<string, Operation>>;
}

export async function prove(tally: Tally): Promise<void> {
  await using app = await startApp();
  const document = await fetchDocument(app);
  await tally.check('/openapi.json is valid OpenAPI 3.1', () => proveValidity(document));
  await tally.check('A document with a mistake is not valid OpenAPI 3.1', () =>
    proveMistake(document),
  );
  await tally.check("The document's schemas are valid JSON Schema 2020-12", () =>
    proveSchemas(document),
  );
  await tally.check('A schema with a mistake is not valid JSON Schema 2020-12', () =>
    assert.throws(() => proveSchemas(FAULTY)),
  );
  await tally.check('/openapi.json has every route', () => proveOperations(document));
  for (const [name, operation] of listOperations(document))
    await tally.check(`${name} has a summary, a tag and all of its answers`, () =>
      proveOperation(name, operation),
    );
  await tally.check('Every schema accepts its own examples', () => proveExamples(document));
  await tally.check('The server in the document is relative, with any Host header', () =>
    proveServer(app),
  );
  await tally.check('A 400 of a schema lists its problems in the documented shape', () =>
    proveProblems(app, document),
  );
}

async function fetchDocument(
  app: RunningApp,
  headers: Record<string, string> = {},
): Promise<Document> {
  const answer = await fetch(`${app.url}/openapi.json`, { headers });
  assert.equal(answer.status, 200);
  return (await answer.json()) as Document;
}

async function proveValidity(document: Document): Promise<void> {
  const { valid, errors } = await new Validator().validate(structuredClone({ ...document }));
  assert(valid, JSON.stringify(errors, undefined, 2));
  assert.match(document.openapi, /^3\.1\./);
}

async function proveMistake(document: Document): Promise<void> {
  const { valid } = await new Validator().validate({
    ...structuredClone(document),
    paths: { notes: { get: {} } },
  });
  assert(!valid, 'the validator accepts a document with a mistake');
}

/** @returns the number of schemas */
function proveSchemas(document: object): string {
  const ajv = new Ajv2020();
  const schemas = [...findValues(document, 'schema')];
  for (const schema of schemas)
    assert(ajv.validateSchema(schema as object), JSON.stringify([schema, ajv.errors]));
  assert(schemas.length > 0, 'there are no schemas');
  return `${schemas.length} schemas`;
}

function proveOperations(document: Document): string {
  const names = listOperations(document).map(([name]) => name);
  for (const name of OPERATIONS) assert(names.includes(name), `${name} is not in the document`);
  return names.join(', ');
}

function listOperations({ paths }: Document): [string, Operation][] {
  return Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]): [string, Operation] => [
      `${method} ${path}`,
      operation,
    ]),
  );
}

function proveOperation(name: string, { summary, tags, responses }: Operation): string {
  const statuses = Object.keys(responses);
  assert(summary, 'the operation has no summary');
  assert(tags?.length, 'the operation has no tag');
  assert(
    statuses.some((status) => status.startsWith('2')),
    `there is no success among ${statuses}`,
  );
  for (const errors of ['4', '5'])
    assert(
      statuses.some((status) => status.startsWith(errors)),
      `no ${errors}XX: ${statuses}`,
    );
  for (const status of statuses)
    assert(responses[status]!.description, `${name} does not describe its ${status}`);
  return statuses.join(', ');
}

/** @returns the number of examples */
function proveExamples(document: Document): string {
  const ajv = new Ajv2020({ strict: false });
  addFormats.default(ajv);
  let count = 0;
  for (const schema of findSchemasWithExamples(document)) {
    for (const example of schema.examples) {
      assert(
        ajv.validate(schema, example),
        `${JSON.stringify(schema)} does not accept ${JSON.stringify(example)}`,
      );
      count += 1;
    }
  }
  assert(count > 0, 'there are no examples');
  return `${count} examples`;
}

function* findSchemasWithExamples(value: unknown): Generator<{ examples: unknown[] }> {
  if (typeof value !== 'object' || value === null) return;
  if ('examples' in value && Array.isArray(value.examples)) yield value as { examples: unknown[] };
  for (const part of Object.values(value)) yield* findSchemasWithExamples(part);
}

/** Finds all values of a property name at any depth. */
function* findValues(value: unknown, name: string): Generator<unknown> {
  if (typeof value !== 'object' || value === null) return;
  for (const [key, part] of Object.entries(value)) {
    if (key === name) yield part;
    else yield* findValues(part, name);
  }
}

async function proveServer(app: RunningApp): Promise<void> {
  const hosts = [
    {},
    { 'x-forwarded-host': 'evil.example', 'x-forwarded-proto': 'https' },
    { 'x-forwarded-host': 'evil.example', 'x-forwarded-proto': 'javascript' },
  ];
  for (const headers of hosts) {
    const document = await fetchDocument(app, headers);
    assert.deepEqual(document.servers, [{ url: './' }]);
    assert.doesNotMatch(JSON.stringify(document), /evil|javascript:/);
  }
}

/** @returns the number of problems */
async function proveProblems(app: RunningApp, document: Document): Promise<string> {
  const headers = { 'content-type': 'application/json' };
  const body = '{"title":1,"body":2,"colour":3}';
  const answer = await fetch(`${app.url}/notes`, { method: 'POST', headers, body });
  assert.equal(answer.status, 400);
  const error = (await answer.json()) as { errors: { path: string }[] };
  const ajv = new Ajv2020({ strict: false });
  const [schema] = findValues(document.paths['/notes']!.post!.responses['4XX'], 'schema');
  assert(ajv.validate(schema as object, error), JSON.stringify([error, ajv.errors]));
  assert.deepEqual(error.errors.map(({ path }) => path).sort(), ['', '/body', '/title']);
  return `${error.errors.length} problems`;
}
