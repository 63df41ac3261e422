import type { ErrorObject } from 'ajv';
import type { TProperties } from 'typebox';
import { OperatorError } from '../../src/operator-error.ts';

/** What a setting says of itself; settings.ts explains the fields. */
interface Setting {
  enum?: string[];
  minimum?: number;
  maximum?: number;
  default?: unknown;
  below?: string;
  expected?: string;
  remedy?: string;
  secret?: boolean;
}

/** The environment is not valid; the message has a line for each variable, and no secret. */
export class EnvironmentError extends OperatorError {
  override name = 'EnvironmentError';
  readonly variables: string[];

  constructor(errors: ErrorObject[], environment: NodeJS.ProcessEnv, properties: TProperties) {
    const names = errors.map(
      ({ params, instancePath }) => params.missingProperty ?? instancePath.slice(1),
    );
    const variables: string[] = [...new Set(names)];
    const problems = variables.map((name) =>
      describeProblem(name, environment[name]?.trim(), properties[name] as Setting),
    );
    super(['The environment is not valid:', ...problems].join('\n  '));
    this.variables = variables;
  }
}

function describeProblem(name: string, value: string | undefined, setting: Setting): string {
  const expected = `expected ${setting.expected ?? describeValues(name, setting)}`;
  const remedy = setting.remedy ?? `Set ${name}=${setting.default}, or leave it out`;
  if (!value) return `${name} is missing; ${expected}. ${remedy}.`;
  if (isQuoted(value)) {
    const advice = 'Write it without quotes, which "docker run --env-file" keeps.';
    return `${name} is not valid: the value begins with a quote; ${expected}. ${advice}`;
  }
  const shown = setting.secret ? 'set to something else' : quote(value);
  return `${name} is ${shown}; ${expected}. ${remedy}.`;
}

/** The values of an enumeration or an integer, whose unit is the last part of the name. */
function describeValues(name: string, { enum: names, minimum, maximum, below }: Setting): string {
  if (names) return names.join(', ').replace(/, ([^,]+)$/, ' or $1');
  const unit = { MS: ' (milliseconds)', DAYS: ' (days)' }[name.split('_').at(-1) as 'MS'] ?? '';
  return `an integer from ${minimum} to ${maximum}${unit}${below ? `, less than ${below}` : ''}`;
}

/** No value begins with a quote: a shell or `.env` takes quotes away, others keep them. */
export function isQuoted(value: string): boolean {
  return /^["']/.test(value);
}

/** Shows a short value of harmless characters only: a secret can end up in the wrong variable. */
function quote(value: string): string {
  return /^[\w.,:/* -]{1,60}$/.test(value) ? `"${value}"` : 'not valid';
}
