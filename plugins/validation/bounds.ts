import { _, type Ajv, type KeywordCxt, type ValidateFunction } from 'ajv';
import reference from 'ajv/dist/vocabularies/core/ref.js';

const never = () => false;

let isLimitReached = never;

class LimitReached extends Error {}

/**
 * Bounds the time of `uniqueItems`, for which Ajv compares all pairs, and of `$ref`: a union that
 * refers to itself, such as a filter of filters, can double the time with each level.
 */
export function boundKeywords(ajv: Ajv): void {
  ajv.removeKeyword('uniqueItems').addKeyword({
    keyword: 'uniqueItems',
    type: 'array',
    schemaType: 'boolean',
    validate: (isUnique: boolean, items: unknown[]) =>
      !isUnique || new Set(items.map(toKey)).size === items.length,
    error: { message: 'must NOT have duplicate items' },
  });
  ajv.removeKeyword('$ref').addKeyword({
    ...reference.default,
    code: (context: KeywordCxt) => {
      const check = context.gen.scopeValue('func', { ref: throwAtLimit });
      context.gen.code(_`${check}()`);
      reference.default.code(context);
    },
  });
}

/** Whether the value fits. Undefined if `isReached`, asked at each reference, ended the check. */
export function checkBounded(
  validate: ValidateFunction,
  value: unknown,
  isReached: () => boolean,
): boolean | undefined {
  isLimitReached = isReached;
  try {
    return validate(value);
  } catch (error) {
    if (!(error instanceof LimitReached)) throw error;
  } finally {
    isLimitReached = never;
  }
  return undefined;
}

function throwAtLimit(): void {
  if (isLimitReached()) throw new LimitReached();
}

function toKey(item: unknown): string {
  if (typeof item !== 'object') return `${typeof item} ${item}`;
  return JSON.stringify(item, (_name, value) => {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return value;
    return Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)));
  });
}
