import {
  _,
  type Ajv,
  type CodeKeywordDefinition,
  type KeywordCxt,
  type ValidateFunction,
} from 'ajv';
import anyOf from 'ajv/dist/vocabularies/applicator/anyOf.js';
import oneOf from 'ajv/dist/vocabularies/applicator/oneOf.js';
import reference from 'ajv/dist/vocabularies/core/ref.js';

/** Asked at each `$ref`, `anyOf` and `oneOf`, by its name: whether the check has to end. */
type IsReached = (keyword: string) => boolean;

const never = () => false;

let isLimitReached: IsReached = never;

class LimitReached extends Error {}

/**
 * Bounds the time of checks. Ajv compares all pairs for `uniqueItems`, and all allowed values for
 * `enum`. A union that refers to itself can double the time with each level.
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
  ajv.removeKeyword('enum').addKeyword({
    keyword: 'enum',
    schemaType: 'array',
    compile: (allowed: unknown[]) => {
      const values = new Set(allowed);
      const keys = new Set(allowed.filter(isStructured).map(toKey));
      return (value: unknown) => values.has(value) || (keys.size > 0 && keys.has(toKey(value)));
    },
    error: {
      message: 'must be equal to one of the allowed values',
      params: ({ schemaCode }) => _`{allowedValues: ${schemaCode}}`,
    },
  });
  for (const { default: definition } of [reference, anyOf, oneOf]) boundTime(ajv, definition);
}

function boundTime(ajv: Ajv, definition: CodeKeywordDefinition): void {
  ajv.removeKeyword(`${definition.keyword}`).addKeyword({
    ...definition,
    code: (context: KeywordCxt) => {
      const check = context.gen.scopeValue('func', { ref: throwAtLimit });
      context.gen.code(_`${check}(${context.keyword})`);
      definition.code(context);
    },
  });
}

/** Whether the value fits. Undefined if `isReached` ended the check. */
export function checkBounded(
  validate: ValidateFunction,
  value: unknown,
  isReached: IsReached,
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

function throwAtLimit(keyword: string): void {
  if (isLimitReached(keyword)) throw new LimitReached();
}

function isStructured(value: unknown): boolean {
  return typeof value === 'object' && value !== null;
}

function toKey(item: unknown): string {
  if (typeof item !== 'object') return `${typeof item} ${item}`;
  return JSON.stringify(item, (_name, value) => {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return value;
    return Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)));
  });
}
