// Property tests of the notes API, generated from its OpenAPI document, and with a model
import assert from 'node:assert/strict';
import { parseArgs } from 'node:util';
import fc from 'fast-check';
import { type RunningApp, startApp } from '../app.ts';
import type { Tally } from '../tally.ts';
import { Client } from './client.ts';
import { type Operation, readOperations } from './document.ts';
import { proveModel } from './model.ts';
import { Oracle } from './oracle.ts';
import { EXISTING, type GeneratedRequest, generateRequest } from './requests.ts';

/** The default of --runs: requests to each operation. */
const RUNS = 2_000;

interface Parameters {
  seed: number;
  numRuns: number;
}

/** Flags: --postgres, --seed N to repeat a run, --runs N for more requests to each operation. */
export async function prove(tally: Tally, flags: string[]): Promise<void> {
  const text = { type: 'string' } as const;
  const options = { postgres: { type: 'boolean' }, seed: text, runs: text } as const;
  const { postgres, seed, runs } = parseArgs({ args: flags, options }).values;
  const parameters = { seed: Number(seed ?? Date.now() % 2 ** 31), numRuns: Number(runs ?? RUNS) };
  console.log(`seed ${parameters.seed}: npm run proof fuzz -- --seed ${parameters.seed}`);
  await using app = await startApp({
    postgres: postgres === true,
    environment: { RATE_LIMIT_MAX: '0' },
  });
  using client = new Client(app.url);
  for (const operation of await readOperations(app.url, '/notes')) {
    const name = `${operation.method} ${operation.path}, ${parameters.numRuns} requests`;
    await tally.check(name, () => proveOperation(client, operation, parameters));
  }
  await tally.check('The app answers random requests as a model of the notes predicts', () =>
    proveModel(client, parameters),
  );
  await tally.check('No log line is an error', () => proveLog(app));
}

/** @returns the number of answers by status */
async function proveOperation(
  client: Client,
  operation: Operation,
  parameters: Parameters,
): Promise<string> {
  const oracle = new Oracle(operation);
  const counts = new Map<number, number>();
  const property = fc.asyncProperty(generateRequest(operation), async (request) => {
    const { contentType, body } = request;
    const target = await writeTarget(client, operation, request);
    const answer = await client.send({ method: operation.method, target, contentType, body });
    counts.set(answer.status, (counts.get(answer.status) ?? 0) + 1);
    oracle.verify(request, answer);
  });
  await fc.assert(property, { ...parameters, includeErrorInReport: true });
  const statuses = [...counts.keys()];
  assert(
    statuses.some((status) => status < 300),
    'no request was valid: the generator is useless',
  );
  assert(
    statuses.some((status) => status >= 400),
    'no request was invalid: the generator is useless',
  );
  return [...counts]
    .sort(([a], [b]) => a - b)
    .map(([status, count]) => `${count} times ${status}`)
    .join(', ');
}

/** Fills in the path's parameters, and creates a note if one has to exist. */
async function writeTarget(
  client: Client,
  { path }: Operation,
  { path: values, query }: GeneratedRequest,
): Promise<string> {
  let target = path;
  for (const [name, value] of Object.entries(values)) {
    target = target.replace(`{${name}}`, () => value);
    if (value === EXISTING) target = target.replace(EXISTING, await createNote(client));
  }
  return query.length === 0
    ? target
    : `${target}?${query.map((field) => field.join('=')).join('&')}`;
}

async function createNote(client: Client): Promise<string> {
  const body = '{"title":"A note that there is"}';
  const answer = await client.send({
    method: 'POST',
    target: '/notes',
    contentType: 'application/json',
    body,
  });
  return JSON.parse(answer.body).id;
}

function proveLog({ process }: RunningApp): string {
  const errors = process.lines.filter((line) => JSON.parse(line).level >= 50);
  assert(errors.length === 0, `there are errors:\n${errors.slice(0, 5).join('\n')}`);
  return `${process.lines.length} lines`;
}
