import { _, type Ajv, type KeywordCxt, type ValidateFunction } from 'ajv';
import reference from 'ajv/dist/vocabularies/core/ref.js';

const never = () => false;

/** Whether the running check has to end. It is asked at each reference. */
let isSpent = never;

class Spent extends Error {}

/**
 * Bounds the time of two keywords. Ajv compares each item of `uniqueItems` with each other one. A
 * union that refers to itself, such as a filter of filters, can double the time with each level.
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
      const check = context.gen.scopeValue('func', { ref: endIfSpent });
      context.gen.code(_`${check}()`);
      reference.default.code(context);
    },
  });
}

/**
 * @param mustEnd is asked at each reference
 * @returns whether the value fits. Undefined if the check had to end before that was known.
 */
export function checkBounded(
  validate: ValidateFunction,
  value: unknown,
  mustEnd: () => boolean,
): boolean | undefined {
  isSpent = mustEnd;
  try {
    return validate(value);
  } catch (error) {
    if (!(error instanceof Spent)) throw error;
  } finally {
    isSpent = never;
  }
  return undefined;
}

function endIfSpent(): void {
  if (isSpent()) throw new Spent();
}

/** Equal items have the same key, whatever the order of their fields. */
function toKey(item: unknown): string {
  if (typeof item !== 'object') return `${typeof item} ${item}`;
  return JSON.stringify(item, (_name, value) => {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return value;
    return Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)));
  });
}
