import assert from 'node:assert/strict';
import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js';
import addFormats from 'ajv-formats';
import type { ClientAnswer } from './client.ts';
import type { Operation, Parameter, Schema } from './document.ts';
import { EXISTING, type GeneratedRequest } from './requests.ts';

/** Decides from the document alone which answers to a request are right. */
export class Oracle {
  readonly #operation: Operation;
  readonly #body: ValidateFunction | undefined;
  readonly #query: ValidateFunction;
  readonly #path: ValidateFunction;
  readonly #responses: Map<string, ValidateFunction | undefined>;

  constructor(operation: Operation) {
    const { body, parameters, responses } = operation;
    // A path and a query are text, from which numbers are read.
    const [exact, fromText] = [createAjv(false), createAjv(true)];
    this.#operation = operation;
    this.#body = body && exact.compile(body);
    this.#query = fromText.compile(describeParameters(parameters, 'query'));
    this.#path = fromText.compile(describeParameters(parameters, 'path'));
    const entries = Object.entries(responses);
    this.#responses = new Map(
      entries.map(([status, schema]) => [status, schema && exact.compile(schema)]),
    );
  }

  /** @throws if the document does not allow this answer to this request */
  verify(request: GeneratedRequest, answer: ClientAnswer): void {
    const { status, body } = answer;
    assert(status < 500, `${status} ${body}`);
    const key = [`${status}`, `${Math.floor(status / 100)}XX`].find((candidate) =>
      this.#responses.has(candidate),
    );
    assert(key, `${status} is not documented: ${body}`);
    this.#verifyBody(this.#responses.get(key), answer);
    const accepts = this.#accepts(request);
    const succeeds = status >= 200 && status < 300;
    if (!accepts)
      assert(
        !succeeds,
        `the document does not allow the request, but it is answered ${status}: ${body}`,
      );
    else if (this.#exists(request))
      assert(succeeds, `the document allows the request, but it is answered ${status}: ${body}`);
    else assert.equal(status, 404, `there is no such note, but it is answered ${status}: ${body}`);
  }

  #verifyBody(
    validate: ValidateFunction | undefined,
    { status, contentType, body }: ClientAnswer,
  ): void {
    if (!validate) {
      assert.equal(body, '', `${status} is documented without a body`);
      return;
    }
    assert.match(contentType ?? '', /^application\/json/);
    assert(
      validate(JSON.parse(body)),
      `${status} ${body} does not match the document: ${JSON.stringify(validate.errors)}`,
    );
  }

  #accepts({ path, query, contentType, body }: GeneratedRequest): boolean {
    const values = Object.entries(path).filter(([, value]) => value !== EXISTING);
    const decoded = values.map(([name, value]) => [name, decode(value)]);
    if (!this.#path({ ...Object.fromEntries(decoded), ...this.#fill(path) })) return false;
    if (!this.#areWritten(query) || !this.#query(gather(query))) return false;
    if (!this.#body) return true;
    return (
      /^application\/json *(;|$)/i.test(contentType ?? '') &&
      body !== undefined &&
      this.#acceptsBody(body)
    );
  }

  /** An integer is decimal digits, and a list has no brackets. */
  #areWritten(query: [string, string][]): boolean {
    return query.every(([name, value]) => {
      const [base] = decode(name).split('[');
      const known = this.#operation.parameters.find(
        (one) => one.in === 'query' && one.name === base,
      );
      if (!known) return true;
      return (
        base === decode(name) && (known.schema.type !== 'integer' || /^-?\d+$/.test(decode(value)))
      );
    });
  }

  #acceptsBody(body: string): boolean {
    try {
      return this.#body!(JSON.parse(body));
    } catch {
      return false;
    }
  }

  /** Replaces EXISTING by a valid id. */
  #fill(path: Record<string, string>): Record<string, string> {
    const names = Object.keys(path).filter((name) => path[name] === EXISTING);
    return Object.fromEntries(names.map((name) => [name, '00000000-0000-7000-8000-000000000000']));
  }

  #exists({ path }: GeneratedRequest): boolean {
    return this.#operation.parameters
      .filter((parameter) => parameter.in === 'path')
      .every(({ name }) => path[name] === EXISTING);
  }
}

function createAjv(coerceTypes: boolean): Ajv2020 {
  const ajv = new Ajv2020({ strict: false, coerceTypes });
  addFormats.default(ajv, ['date-time', 'uuid']);
  return ajv;
}

function describeParameters(parameters: Parameter[], place: string): Schema {
  const found = parameters.filter((parameter) => parameter.in === place);
  return {
    type: 'object',
    properties: Object.fromEntries(found.map(({ name, schema }) => [name, schema])),
    required: found.filter(({ required }) => required).map(({ name }) => name),
  };
}

/** Repeated names become a list. */
function gather(query: [string, string][]): Record<string, unknown> {
  const values = new Map<string, string[]>();
  for (const [name, value] of query)
    values.set(decode(name), [...(values.get(decode(name)) ?? []), decode(value)]);
  return Object.fromEntries(
    [...values].map(([name, list]) => [name, list.length === 1 ? list[0] : list]),
  );
}

/** Invalid percent-encoding stays unchanged. */
function decode(text: string): string {
  try {
    return decodeURIComponent(text.replaceAll('+', ' '));
  } catch {
    return text;
  }
}
