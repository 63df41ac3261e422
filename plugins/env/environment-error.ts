import type { ErrorObject } from 'ajv';
import { OperatorError } from '../../src/operator-error.ts';
import type { Setting, Settings } from './settings.ts';

/** The environment is not valid. The message has a line for each variable, without secrets. */
export class EnvironmentError extends OperatorError {
  override name = 'EnvironmentError';
  readonly variables: string[];

  constructor(errors: ErrorObject[], environment: NodeJS.ProcessEnv, properties: Settings) {
    const names = errors.map(
      ({ params, instancePath }) => params.missingProperty ?? instancePath.slice(1),
    );
    const variables: string[] = [...new Set(names)];
    const problems = variables.map((name) => {
      const value = environment[name]?.trim();
      const missing = errors.find(({ params }) => params.missingProperty === name);
      return describeProblem(name, value, properties[name]!, missing?.params.requiredBy);
    });
    super(['The environment is not valid:', ...problems].join('\n  '));
    this.variables = variables;
  }
}

function describeProblem(name: string, value = '', setting: Setting, requiredBy?: string): string {
  const expected = `expected ${setting.expected ?? describeValues(name, setting)}`;
  const hasDefault = setting.default !== undefined;
  const advice = hasDefault ? `=${setting.default}` : ' to such a value';
  const isOptional = hasDefault || setting['~optional'];
  const byDefault = requiredBy
    ? `${requiredBy} needs it: set both, or leave out ${requiredBy}`
    : `Set ${name}${advice}${isOptional ? ', or leave it out' : ''}`;
  const { remedy = byDefault } = setting;
  const absent = hasDefault ? `${setting.default} by default` : 'missing';
  if (!value) return `${name} is ${absent}; ${expected}. ${remedy}.`;
  if (isQuoted(value)) {
    const unquote = 'Write it without quotes, which "docker run --env-file" keeps.';
    return `${name} is not valid: the value begins with a quote; ${expected}. ${unquote}`;
  }
  const shown = setting.secret ? 'set to something else' : quote(value);
  return `${name} is ${shown}; ${expected}. ${remedy}.`;
}

/** Describes the values that are valid. The unit is the last part of the name. */
function describeValues(name: string, setting: Setting): string {
  const { enum: names, type, minimum, maximum, minLength, below, description } = setting;
  if (names) return names.join(', ').replace(/, ([^,]+)$/, ' or $1');
  const length = minLength ? ` of at least ${minLength} characters` : '';
  if (type === 'string') return `a text${length} (${description})`;
  const unit = { MS: ' (milliseconds)', DAYS: ' (days)' }[name.split('_').at(-1) as 'MS'] ?? '';
  return `an integer from ${minimum} to ${maximum}${unit}${below ? `, less than ${below}` : ''}`;
}

/** No valid value begins with a quote. Shells and `.env` files remove quotes, others keep them. */
export function isQuoted(value: string): boolean {
  return /^["']/.test(value);
}

/** Shows only a number, its unit, or a short word: a secret may be in the wrong variable. */
function quote(value: string): string {
  return /^([\d.,:/* -]{1,20}|[a-z]{1,8}|\d+[a-z]{1,2})$/i.test(value) ? `"${value}"` : 'not valid';
}
