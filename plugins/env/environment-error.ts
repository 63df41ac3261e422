import type { ErrorObject } from 'ajv';
import type { TProperties } from 'typebox';
import { OperatorError } from '../../src/operator-error.ts';

/** What a setting says of itself beside its schema; settings.ts explains the fields. */
interface Explanation {
  expected?: string;
  remedy?: string;
  secret?: boolean;
}

/** The environment is not valid; the message has one line for each variable to mend, and no secret. */
export class EnvironmentError extends OperatorError {
  override name = 'EnvironmentError';
  /** The variables to mend. */
  readonly variables: string[];

  constructor(errors: ErrorObject[], environment: NodeJS.ProcessEnv, properties: TProperties) {
    const variables = [...new Set(errors.map(findVariable))];
    const problems = variables.map((name) =>
      describeProblem(name, environment[name]?.trim(), properties[name] as Explanation),
    );
    super(`The environment is not valid:\n${problems.map((problem) => `  ${problem}`).join('\n')}`);
    this.variables = variables;
  }
}

function findVariable({ params, instancePath }: ErrorObject): string {
  return params.missingProperty ?? instancePath.slice(1);
}

function describeProblem(
  name: string,
  value: string | undefined,
  { expected, remedy, secret }: Explanation,
): string {
  if (!value) return `${name} is missing; expected ${expected}. ${remedy}.`;
  if (isQuoted(value))
    return `${name} is not valid: the value begins with a quote; expected ${expected}. Write it without quotes, which "docker run --env-file" keeps.`;
  return `${name} is ${secret ? 'set to something else' : quote(value)}; expected ${expected}. ${remedy}.`;
}

/** No setting's value begins with a quote; a shell or `.env` takes quotes away, others keep them. */
export function isQuoted(value: string): boolean {
  return /^["']/.test(value);
}

/** Shows a short value of harmless characters only: a secret can end up in the wrong variable. */
function quote(value: string): string {
  return /^[\w.,:/* -]{1,60}$/.test(value) ? `"${value}"` : 'not valid';
}
