import { test } from 'tap';
import { createAjv } from '../../../plugins/validation/ajv.ts';
import { compileText } from '../../../plugins/validation/text.ts';

const ajv = createAjv({ allErrors: true });

/** Checks the values of a query. Returns them as converted, or the first problem. */
function read(schema: object, values: Record<string, unknown>): unknown {
  const problems = compileText(ajv, { type: 'object', ...schema })(values);
  return problems?.[0]?.message ?? values;
}

test('A name with brackets is refused only if the schema has the name without them', async (t) => {
  const text = { type: 'string' };
  const integer = { type: 'integer' };
  const rows: [object, string, unknown][] = [
    [{ properties: { 'page[size]': integer }, additionalProperties: false }, 'page[size]', 5],
    [{ properties: { 'page[size]': integer, page: text } }, 'page[size]', 5],
    [{ additionalProperties: text }, 'x[]', '5'],
    [{ maxProperties: 1 }, 'x[]', '5'],
    [{ patternProperties: { '^x': text } }, 'x[]', '5'],
  ];
  for (const [schema, name, value] of rows)
    t.strictSame(read(schema, { [name]: '5' }), { [name]: value });
  const refusal = 'must have page without brackets, repeated for each value of a list';
  for (const page of [integer, { enum: [1, 5] }, { type: 'array', items: text }])
    t.equal(read({ properties: { page } }, { other: '1', 'page[]': '5' }), refusal);
});

test('Many names with brackets are searched in a time that is linear', (t) => {
  const names = Array.from({ length: 3_400 }, (_, index) => [`${index}[`, '']);
  let checks = 0;
  const schema = { type: 'object', properties: { a: { type: 'string' } } };
  const validate = ajv.compile(schema);
  const counting = (values: unknown) => {
    checks += 1;
    return validate(values);
  };
  const check = compileText({ compile: () => counting } as never, schema);
  t.equal(check(Object.fromEntries(names)), null);
  t.ok(checks < 3, `${checks} checks`);
  t.end();
});

test('An empty text is null where the schema allows it', (t) => {
  t.strictSame(read({ properties: { a: { type: ['null', 'integer'] } } }, { a: '' }), { a: null });
  t.end();
});

test('Text becomes a value of an enum or a constant', async (t) => {
  const schema = {
    properties: {
      size: { enum: [10, 20, null, true] },
      step: { const: 5 },
      word: { enum: ['10', 10] },
      sizes: { type: 'array', items: { enum: [1, 2] } },
    },
  };
  t.strictSame(read(schema, { size: '20', step: '5', word: '10', sizes: ['2', '1'] }), {
    size: 20,
    step: 5,
    word: '10',
    sizes: [2, 1],
  });
  t.strictSame(read(schema, { size: 'true', sizes: '2' }), { size: true, sizes: [2] });
  for (const values of [{ size: '30' }, { size: '20.0' }, { step: '6' }, { sizes: '3' }])
    t.match(read(schema, values), /must be equal/);
});

test('request.validateInput also asks about values that no query has', async (t) => {
  const validate = (type: string | string[], value: unknown) =>
    compileText(ajv, { type })(value as object) === null;
  t.equal(validate('object', null), false);
  t.equal(validate(['object', 'null'], null), true);
  t.equal(validate('object', undefined), false);
  t.equal(validate('integer', 5), true);
});
