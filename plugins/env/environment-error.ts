import type { ErrorObject } from 'ajv';
import type { TProperties } from 'typebox';
import { OperatorError } from '../../src/operator-error.ts';

/** The schema of a setting. settings.ts explains the fields. */
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

/** The environment is not valid. The message has a line for each variable, without secrets. */
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

/** Describes the values of an enum or integer. The unit is the last part of the name. */
function describeValues(name: string, { enum: names, minimum, maximum, below }: Setting): string {
  if (names) return names.join(', ').replace(/, ([^,]+)$/, ' or $1');
  const unit = { MS: ' (milliseconds)', DAYS: ' (days)' }[name.split('_').at(-1) as 'MS'] ?? '';
  return `an integer from ${minimum} to ${maximum}${unit}${below ? `, less than ${below}` : ''}`;
}

/** No valid value begins with a quote. Shells and `.env` files remove quotes, others keep them. */
export function isQuoted(value: string): boolean {
  return /^["']/.test(value);
}

/** Shows only a short value of simple characters: a secret may be in the wrong variable. */
function quote(value: string): string {
  return /^[\w.,:/* -]{1,60}$/.test(value) ? `"${value}"` : 'not valid';
}
