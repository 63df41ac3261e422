import { type Ajv, str } from 'ajv';

/** For Ajv, 0.07 is no multiple of 0.01. With its own option, 1 is a multiple of 1048576. */
export function allowDecimals(ajv: Ajv): void {
  ajv.removeKeyword('multipleOf').addKeyword({
    keyword: 'multipleOf',
    type: 'number',
    schemaType: 'number',
    validate: isMultiple,
    error: { message: ({ schemaCode }) => str`must be multiple of ${schemaCode}` },
  });
}

/** Of two decimals, 15 digits count: 0.07 / 0.01 is 7.000000000000001. */
function isMultiple(step: number, value: number): boolean {
  if (Number.isInteger(step) && Number.isInteger(value)) return value % step === 0;
  return Number.isInteger(Number((value / step).toPrecision(15)));
}
