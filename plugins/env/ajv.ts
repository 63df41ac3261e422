import { isIP } from 'node:net';
import { Ajv, type SchemaValidateFunction } from 'ajv';
import addFormats from 'ajv-formats';
import { RANGES } from '../../src/trusted-proxies.ts';

const isUri = addFormats.default.get('uri') as (text: string) => boolean;

/** The value of `below` is another setting's name, whose value has to be greater. */
const isBelow: SchemaValidateFunction = (other: string, value: number, _schema, context) =>
  !(value >= Number(context?.parentData[other]));

/** The value of `requires` is another setting's name, which has to be set too: the error is its own. */
const isOtherSet: SchemaValidateFunction = (other: string, _value, _schema, context) => {
  isOtherSet.errors = [{ params: { missingProperty: other } }];
  return context?.parentData[other] !== undefined;
};

/**
 * Checks settings with the options of @fastify/env's own Ajv, except for two: nothing is coerced,
 * and the schema itself is not checked, which would be a tenth of the start.
 */
export function createAjv(): Ajv {
  return new Ajv({
    allErrors: true,
    removeAdditional: true,
    useDefaults: true,
    allowUnionTypes: true,
    meta: false,
    validateSchema: false,
    formats: { uri: (text: string) => isUri(text) && URL.canParse(text), proxies: isProxyList },
    keywords: [
      'expected',
      'remedy',
      'secret',
      { keyword: 'below', validate: isBelow },
      { keyword: 'requires', validate: isOtherSet, errors: true },
    ],
  });
}

function isProxyList(list: string): boolean {
  return list.split(',').every((item) => isProxy(item.trim()));
}

function isProxy(text: string): boolean {
  const [address = '', bits, ...rest] = text.split('/');
  if (Object.hasOwn(RANGES, text)) return true;
  const family = isIP(address);
  return (
    family !== 0 &&
    rest.length === 0 &&
    (bits === undefined || isPrefixLength(bits, family === 4 ? 32 : 128))
  );
}

/** A prefix of no bits would trust everybody. */
function isPrefixLength(bits: string, most: number): boolean {
  return /^[1-9]\d*$/.test(bits) && Number(bits) <= most;
}
