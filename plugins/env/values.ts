import type { TProperties } from 'typebox';
import { isQuoted } from './environment-error.ts';
import type { Setting } from './settings.ts';

/** Converts the values to the types of the schema. ajv would also convert 5e3 to an integer. */
export function readValues(environment: NodeJS.ProcessEnv, properties: TProperties) {
  const values = Object.entries(properties).map(([name, schema]) => {
    // Empty means not set, because some shells and platforms cannot unset a variable.
    const read = (name: string) => environment[name]?.trim() || undefined;
    const isRead = !('onlyWith' in schema) || read(String(schema.onlyWith));
    const text = isRead && read(name);
    const value = 'ignoreCase' in schema ? text?.toLowerCase() : text;
    // Null makes the check fail, because no setting accepts it.
    if (value && isQuoted(value)) return [name, null];
    return [name, convert(value, schema as unknown as Setting)];
  });
  return Object.fromEntries(values);
}

function convert(value: string | undefined, { type, enum: allowed }: Setting): unknown {
  if (type === 'integer' && /^-?\d+$/.test(value ?? '')) return Number(value);
  // An enum may also have numbers.
  return allowed?.find((one) => `${one}` === value) ?? value;
}
