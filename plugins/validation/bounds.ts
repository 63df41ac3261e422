import { _, type Ajv, type KeywordCxt, type ValidateFunction } from 'ajv';
import reference from 'ajv/dist/vocabularies/core/ref.js';

/** How many references the running check may still follow. */
let referencesLeft = Number.POSITIVE_INFINITY;

class TooManyReferences extends Error {}

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
      const count = context.gen.scopeValue('func', { ref: countReference });
      context.gen.code(_`${count}()`);
      reference.default.code(context);
    },
  });
}

/** @returns whether the value fits. Undefined if that would take more references. */
export function checkBounded(
  validate: ValidateFunction,
  value: unknown,
  maxReferences: number,
): boolean | undefined {
  referencesLeft = maxReferences;
  try {
    return validate(value);
  } catch (error) {
    if (!(error instanceof TooManyReferences)) throw error;
  } finally {
    referencesLeft = Number.POSITIVE_INFINITY;
  }
  return undefined;
}

function countReference(): void {
  if (--referencesLeft < 0) throw new TooManyReferences();
}

/** Equal items have the same key, whatever the order of their fields. */
function toKey(item: unknown): string {
  return JSON.stringify(item, (_name, value) => {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return value;
    return Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)));
  });
}
