import { test } from 'tap';
import { hideSecrets } from '../../src/redaction.ts';
import { captureLog } from '../helper.ts';

test('A key named like a secret is not logged, nor is anything below it', (t) => {
  const { logger, lines } = captureLog();
  const values = [
    'hunter2',
    7_777_777,
    { a: ['hunter2'] },
    [{ b: 'hunter2' }],
    Buffer.from('hunter2'),
  ];
  const keys = [
    'proxy-authorization',
    'x-api-key',
    'apiKey',
    'access_token',
    'client_secret',
    'detail',
  ];
  for (const key of keys)
    for (const value of values) logger.info({ deep: [{ [key]: value, id: 1 }] });
  logger.info({ bytes: Buffer.from('hunter2'), headers: { 'x-mine': 'hunter2', host: 'a' } });
  t.equal(lines.length, keys.length * values.length + 1);
  t.notMatch(JSON.stringify(lines), /hunter2|7777777|104,117,110/);
  t.match(lines.at(-1), { headers: { host: 'a' } });
  t.end();
});

test('Only the safe fields of an error and its causes are logged', (t) => {
  const { logger, lines } = captureLog();
  const circular = new Error('circular');
  circular.cause = circular;
  const unreadable = new Proxy(new Error(), {
    get: () => {
      throw new Error();
    },
  });
  const cause = Object.assign(new Error('inner'), { detail: 'hunter2', command: ['hunter2'] });
  const error = Object.assign(new Error('outer', { cause }), { code: 'E_1', request: 'hunter2' });
  for (const err of [error, circular, unreadable, null, new AggregateError([cause])])
    logger.error({ err }, 'It failed');
  t.notMatch(JSON.stringify(lines), 'hunter2');
  t.match(lines, [
    { err: { type: 'Error', message: 'outer', code: 'E_1', cause: { message: 'inner' } } },
    { err: { message: 'circular', cause: { message: 'circular' } } },
    { err: { message: /cannot be read/ } },
    { err: { message: 'null' } },
    { err: { errors: [{ message: 'inner' }] } },
  ]);
  t.end();
});

test('Secrets in a text are hidden by their context', (t) => {
  const texts = {
    'no answer from postgres://app:hun/ter?2#@db/app now':
      'no answer from postgres://***@db/app now',
    'GET /fetch/http://a/https://bob:hunter2@b/c': 'GET /fetch/http://a/https://***@b/c',
    'http://bob:hun://ter2@b/@c, http://a:80': 'http://***@c, http://a:80',
    'http://a:80/b': 'http://a:80/b',
    'at file:///app/node_modules/@fastify/a.js:1': 'at file:///app/node_modules/@fastify/a.js:1',
    'GET /notes?password=hunter2 failed': 'GET /notes?*** failed',
    'Authorization: Bearer hunter2': 'Authorization: ***',
    'is this a question?': 'is this a question?',
    'It has {"client_secret":"hunter2 two","id":1}': 'It has {"client_secret":***,"id":1}',
    '{ "password" : "hunter2" }': '{ "password" : *** }',
    "host=a user=b password = 'hunter2 two'": 'host=a user=b password = ***',
    'secret:\n  hunter2': 'secret:\n  ***',
    [JSON.stringify(JSON.stringify(JSON.stringify({ token: 'hunter2' }))).slice(1, -1)]:
      JSON.stringify(JSON.stringify('{"token":hunter2}')).slice(1, -1).replace('hunter2', '***'),
    "{ password: 'hunter2 two' }": '{ password: *** }',
    'PGPASSWORD=hunter2 #access_token=hunter2&a=1': 'PGPASSWORD=*** #access_token=***&a=1',
    'It refused "Bearer hunter2hunter2hunter2"': 'It refused "Bearer ***"',
    'Authorization: Digest username="a", response="hunter2"\nnext': 'Authorization: ***\nnext',
    'set-cookie: sid=hunter2; theme=dark': 'set-cookie: ***',
    '{"password": ["hunter2", "hunter2"]} ok': '{"password": *** ok',
    'password: { value: "hunter2" } ok': 'password: *** ok',
    'password={ab}hunter2 DB_PASSWORD=[x]hunter2 client_secret: {}hunter2':
      'password=*** DB_PASSWORD=*** client_secret: ***',
    'Unexpected token: {\n    at a.ts:3\n }': 'Unexpected token: ***\n    at a.ts:3\n }',
    '{"pass":"hun\\"ter2","id":1}': '{"pass":***,"id":1}',
    'session_id=hunter2 csrf: hunter2': 'session_id=*** csrf: ***',
    'secretKeyBase=hunter2 passhash: hunter2': 'secretKeyBase=*** passhash: ***',
    'secret_key=hunter2 "tokenValue":"hunter2"': 'secret_key=*** "tokenValue":***',
    'credentials_json=hunter2 password_hash: hunter2': 'credentials_json=*** password_hash: ***',
    '{"passwordConfirmation":"hunter2"}': '{"passwordConfirmation":***}',
    'sent eyJhbGciOiJI.eyJzdWIi.hunter2 to it': 'sent eyJ*** to it',
    '-----BEGIN RSA PRIVATE KEY-----\nhunter2\n-----END':
      '-----BEGIN RSA PRIVATE KEY-----***-----END',
    'invalid input value for enum color: "hunter2"': 'invalid input value for enum color: ***',
    'It took 3 passes, the session ended': 'It took 3 passes, the session ended',
    'Basic authentication is asked for': 'Basic authentication is asked for',
    'invalid input syntax for type double precision: "hun ter2"':
      'invalid input syntax for type double precision: ***',
    'invalid input value for enum "Mood": "hunter2"': 'invalid input value for enum "Mood": ***',
    'invalid value for parameter "TimeZone": "hunter2"':
      'invalid value for parameter "TimeZone": ***',
    'syntax error in tsquery: "my hunter2"': 'syntax error in tsquery: ***',
    'syntax error in tsvector: "my hunter2"': 'syntax error in tsvector: ***',
    'unrecognized encoding: "hunter2"': 'unrecognized encoding: ***',
    'value "hunter2" is out of range for type integer':
      'value *** is out of range for type integer',
    'time zone "hunter2" not recognized': 'time zone *** not recognized',
    'unit "hunter2" not recognized for type interval': 'unit *** not recognized for type interval',
    'Invalid value for parameter page: a number': 'Invalid value for parameter page: a number',
    'malformed array literal: "hunter2"': 'malformed array literal: ***',
    'invalid input syntax for type uuid: "a\n b\r\nhunter2"\n    at run (a.ts:1:2)\n    at b':
      'invalid input syntax for type uuid: ***\n    at run (a.ts:1:2)\n    at b',
    'failed: invalid input syntax for type integer: ***; the schema is unchanged':
      'failed: invalid input syntax for type integer: ***; the schema is unchanged',
    'index out of range: ***; hunter2': 'index out of range: ***',
    'invalid input syntax for type integer: "***; hunter2"':
      'invalid input syntax for type integer: ***',
    'Failed query: select $1, $2\nparams: hunter2,a\nhunter2\n    at run (a.ts:1:2)':
      'Failed query: select $1, $2\nparams: ***\n    at run (a.ts:1:2)',
    'value out of range: "1\nhunter2"': 'value out of range: ***',
    'index out of range: 5\nCaused by: Error: a': 'index out of range: ***\nCaused by: Error: a',
    'tokens.map(token => token.id) failed': 'tokens.map(token => token.id) failed',
    'AccountName=a;AccountKey=hunter2;EndpointSuffix=b':
      'AccountName=a;AccountKey=***;EndpointSuffix=b',
    'password => \'hunter2 two\', :secret=>"hunter2"': 'password => ***, :secret=>***',
    'malformed multirange literal: "hunter2"': 'malformed multirange literal: ***',
    "unknown command 'NO', with args beginning with: 'a' 'hunter2'":
      "unknown command 'NO', with args beginning with: ***",
  };
  for (const [text, expected] of Object.entries(texts)) t.equal(hideSecrets(text), expected);
  t.ok(hideSecrets('a'.repeat(100_000)).length < 10_000);
  t.end();
});

test('Values that are too deep, too long or invalid Unicode become a log line', (t) => {
  const { logger, lines } = captureLog();
  const deep = JSON.parse(`${'{"a":['.repeat(2_000)}"hunter2"${']}'.repeat(2_000)}`);
  const long = Array.from({ length: 10_000 }, () => ({ id: 1, token: 'hunter2' }));
  const broken = 'a\ud800'.repeat(10_000);
  const err = new Error(broken, { cause: new Error(broken) });
  for (const value of [{ deep }, { long }, { broken }, { err }, { err: broken }])
    logger.warn(value, 'It has a token');
  t.equal(lines.length, 5);
  t.notMatch(JSON.stringify(lines), 'hunter2');
  t.match(JSON.stringify(lines[0]), '…');
  for (const line of lines.slice(2)) {
    const text = JSON.stringify(line);
    t.ok(text.isWellFormed() && !text.includes('ud800') && text.length < 50_000, `${text.length}`);
  }
  t.end();
});
