import { test } from 'tap';
import { findClashes, type Names, readNames, rename } from '../../scripts/new/names.ts';

test('An invalid name is refused with the reason', async (t) => {
  const refused: [string, string | undefined, RegExp][] = [
    ['order_items', undefined, /"order_items" is not kebab-case/],
    ['2nd-books', undefined, /"2nd-books" is not kebab-case/],
    ['../books', undefined, /"\.\.\/books" is not kebab-case/],
    ['v1/books', undefined, /"v1\/books" is not kebab-case.* To have it in a folder of routes/],
    ['books-', undefined, /"books-" is not kebab-case/],
    ['people', 'Person', /"Person" is not kebab-case/],
    [`${'long-'.repeat(11)}names`, undefined, /is too long: .+ At most 58 characters/],
    ['book', undefined, /"book" is not plural/],
    ['status', undefined, /"status" is not plural/],
    ['address', undefined, /"address" is not plural/],
    ['series', undefined, /"series" is not plural, or irregular/],
    ['site-news', undefined, /"site-news" is not plural, or irregular/],
    ['alias', undefined, /"alias" is not plural, or irregular/],
    ['references', undefined, /"references" is a reserved word of SQL/],
    ['pg-tables', undefined, /"pg-tables" does not work: PostgreSQL has views/],
    ['kysely-migration', 'kysely-migration', /"kysely-migration" does not work: .* Kysely tables/],
    ['this', 'that', /"this" is a reserved word of JavaScript/],
    ['await', 'wait', /"await" is a reserved word of JavaScript/],
    ['maps', undefined, /"maps" does not work: its type would be Map,/],
  ];
  for (const [plural, singular, reason] of refused)
    t.throws(() => readNames(plural, singular), { message: reason });
  t.equal(
    readNames(`${'long-'.repeat(11)}its`).singular,
    `${'long-'.repeat(11)}it`,
    'the longest is accepted',
  );
});

test("A name that a resource's own code uses is detected", async (t) => {
  const from: Names = { plural: 'sample-things', singular: 'sample-thing' };
  const find = (text: string, name: string) => findClashes(text, from, readNames(name));
  t.strictSame(find('const SampleThing = Type.Object({});', 'types'), ['Type']);
  t.strictSame(find('createId(); createSampleThing();', 'ids'), ['createId']);
  t.strictSame(find('const items = listSampleThings();', 'items'), []);
  t.strictSame(
    find("/** List */ db.updateList(); listSampleThings('List'); updateSampleThing();", 'lists'),
    [],
  );
  t.strictSame(find('SampleThing', 'sample-things'), []);
});

test('A name is written in the form of each place, even if it contains the old one', async (t) => {
  const from: Names = { plural: 'sample-things', singular: 'sample-thing' };
  const text =
    'sample-things sample_things listSampleThings NewSampleThing SAMPLE_THING sampleThings Sample thing';
  t.equal(
    rename(text, from, readNames('order-items')),
    'order-items order_items listOrderItems NewOrderItem ORDER_ITEM orderItems Order item',
  );
  t.match(
    rename(text, from, readNames('sample-thing-kinds')),
    /^sample-thing-kinds sample_thing_kinds listSampleThingKinds /,
  );
});

test('The singular is derived from the plural where a rule exists', async (t) => {
  const singulars = {
    books: 'book',
    'order-items': 'order-item',
    categories: 'category',
    keys: 'key',
    addresses: 'address',
    boxes: 'box',
    branches: 'branch',
    caches: 'cache',
    dishes: 'dish',
    statuses: 'status',
    houses: 'house',
    databases: 'database',
    heroes: 'heroe',
    movies: 'movie',
    beaches: 'beach',
    quizzes: 'quiz',
    buzzes: 'buzz',
    cartouches: 'cartouche',
    speeches: 'speech',
    aliases: 'alias',
    lenses: 'lens',
    'fire-zombies': 'fire-zombie',
    ties: 'tie',
    parties: 'party',
  };
  for (const [plural, singular] of Object.entries(singulars))
    t.equal(readNames(plural).singular, singular);
  t.equal(
    readNames('heroes', 'hero').singular,
    'hero',
    'and from its own argument where the rule is wrong',
  );
});
