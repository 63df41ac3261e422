import { test } from 'tap';
import { Type } from 'typebox';
import { createAjv } from '../../../plugins/validation/ajv.ts';
import { compileBody } from '../../../plugins/validation/body.ts';
import { checkBounded } from '../../../plugins/validation/bounds.ts';

const thorough = createAjv({ allErrors: true });
const compile = (schema: object) => compileBody(createAjv(), () => thorough, schema);
const list = (schema: object) => Type.Array(schema, { uniqueItems: true });

const And = Type.Object({ filters: Type.Array(Type.Ref('Filter')), kind: Type.Literal('and') });
const Or = Type.Object({ filters: Type.Array(Type.Ref('Filter')), kind: Type.Literal('or') });
const Filter = Type.Cyclic({ Filter: Type.Union([And, Or]) }, 'Filter');

function nest(levels: number, innermost: object): unknown {
  let filter: unknown = innermost;
  for (let level = 0; level < levels; level++) filter = { kind: 'or', filters: [filter] };
  return filter;
}

function failToCheck(): never {
  throw new Error('broken');
}

test('A union that refers to itself takes a limited time', async (t) => {
  const check = compile(Filter);
  t.equal(check(nest(10, { kind: 'and', filters: [] })), null);
  t.match(check(nest(3, { kind: 'no', filters: [] })), [{ message: 'must be equal to constant' }]);
  const many = check(nest(8, { kind: 'no', filters: [] }));
  t.equal(many?.length, 20, 'only the first problems are listed');
  for (const levels of [30, 300]) {
    const problems = check(nest(levels, { kind: 'no', filters: [] }));
    t.match(problems, [{ instancePath: '', message: /^must have fewer levels/ }]);
  }
  t.equal(check(nest(1, { kind: 'and', filters: [] })), null, 'the next check has its own limit');
});

test('References in a long list are no reason to refuse it', async (t) => {
  const check = compile({ $defs: { id: { type: 'string' } }, items: { $ref: '#/$defs/id' } });
  t.equal(check(Array.from({ length: 510_000 }, (_, index) => `${index}`)), null);
});

test('The items of a unique list are compared in a limited time', async (t) => {
  const many = Array.from({ length: 100_000 }, (_, id) => ({ id, name: 'a' }));
  const check = compile(list(Type.Object({})));
  t.equal(check(many), null);
  t.match(check([...many, { name: 'a', id: 5 }]), [{ message: 'must NOT have duplicate items' }]);
  const checkAny = compile(list({}));
  t.equal(checkAny([1, '1', null, 'null', [1, 2], [2, 1], { a: 1 }, { a: { a: 1 } }, true]), null);
  for (const value of [1, 'x', null, [1, 2], { a: { b: 1, c: [] } }])
    t.not(checkAny([value, 0, structuredClone(value)]), null, `twice ${JSON.stringify(value)}`);
  t.equal(compile({ type: 'array', uniqueItems: false })([1, 1]), null);
});

test('A large enum is compared with a long list in a limited time', async (t) => {
  const codes = Array.from({ length: 7_000 }, (_, index) => `code-${index}`);
  const many = Array.from({ length: 100_000 }, () => 'code-6999');
  const check = compile(Type.Array(Type.Enum(codes)));
  t.equal(check(many), null);
  t.match(check([...many, 'code']), [{ keyword: 'enum', params: { allowedValues: codes } }]);
  const checkAny = compile({ enum: ['x', 1, null, { a: 1, b: [] }] });
  for (const value of ['x', 1, null, { b: [], a: 1 }]) t.equal(checkAny(value), null);
  for (const value of ['1', 0, 'null', { a: 1 }, undefined, []]) t.not(checkAny(value), null);
});

test('A union in a long list asks for the limit at each item', (t) => {
  for (const union of ['anyOf', 'oneOf']) {
    const validate = createAjv().compile({ items: { [union]: [{ const: 'a' }, { const: 'b' }] } });
    const limit = (most: number) => () => --most < 0;
    t.equal(checkBounded(validate, ['a', 'b', 'b'], limit(3)), true);
    t.equal(checkBounded(validate, ['a', 'b', 'b'], limit(2)), undefined, union);
  }
  t.end();
});

test('The bytes of an upload are not searched for problems', async (t) => {
  const file = Buffer.alloc(5_000_000);
  const check = compile(Type.Object({ name: Type.String(), file: Type.Any() }));
  t.equal(check({ name: 'a', file }), null);
  t.match(check({ name: 1, file }), [{ instancePath: '/name' }]);
  t.match(check({ name: 1, file: new Uint8Array(file) }), [{ instancePath: '/name' }]);
});

test('Another error of a check is thrown', async (t) => {
  const validate = createAjv({ formats: { mine: failToCheck } }).compile({ format: 'mine' });
  t.throws(() => checkBounded(validate, 'text', () => false), { message: 'broken' });
});
