import { pathToFileURL } from 'node:url';
import Fastify from 'fastify';
import { type Test, test } from 'tap';
import env, { type Config, gatherSettings } from '../../../plugins/env/index.ts';
import { settings as own } from '../../../plugins/env/settings.ts';
import { buildApp, readConfig } from '../../../src/app.ts';
import { createFolder, type Environment, REQUIRED, writeFiles } from '../../helper.ts';

const PLUGINS = [new URL('../../../plugins/', import.meta.url)];

async function readMessage(environment: Environment, plugins?: URL[]): Promise<string> {
  return readConfig({ ...REQUIRED, ...environment }, plugins).then(
    () => 'valid',
    (error) => error.message,
  );
}

/** A plugin with a setting. */
const WEATHER = `
  const explanation = { expected: 'a weather: URL', remedy: 'Run weather up' };
  export const settings = {
    properties: {
      WEATHER_URL: {
        type: 'string', format: 'uri', pattern: '^weather://.', secret: true, ...explanation,
        description: 'The weather',
      },
    },
  };
`;

/** Returns the folders of the app's plugins and of that plugin. */
const addWeather = (t: Test) => addPlugin(t, WEATHER);

/** Returns the folders of plugins with one more that has this code. */
async function addPlugin(t: Test, code: string): Promise<URL[]> {
  const folder = await createFolder(t);
  await writeFiles(folder, { 'plugin.js': code, 'package.json': '{ "type": "module" }' });
  return [...PLUGINS, pathToFileURL(`${folder}/`)];
}

test('With the required settings alone, the others have the defaults of production', async (t) => {
  t.match(await readConfig(REQUIRED), {
    PORT: 5000,
    HOST: '::',
    LOG_LEVEL: 'info',
    TRUST_PROXY: 'loopback,linklocal,uniquelocal',
    REQUEST_TIMEOUT_MS: 25_000,
    SHUTDOWN_DELAY_MS: 3_000,
    SHUTDOWN_TIMEOUT_MS: 25_000,
    WEB_CONCURRENCY: 1,
  });
});

test('process.env is read if no environment is passed', async (t) => {
  const environment = { ...REQUIRED, LOG_LEVEL: 'silent' };
  Object.assign(process.env, environment);
  t.teardown(() => {
    for (const name of Object.keys(environment)) delete process.env[name];
  });
  t.equal((await readConfig()).LOG_LEVEL, 'silent');
  const app = Fastify();
  await app.register(env);
  t.equal(app.config.LOG_LEVEL, 'silent');
  const built = await buildApp();
  t.teardown(() => built.close());
  t.equal(built.config.LOG_LEVEL, 'silent');
});

test('app.config is frozen, and typed by the settings', async (t) => {
  const config = await readConfig(REQUIRED);
  const port: number = config.PORT;
  const level: 'fatal' | 'error' | 'warn' | 'info' | 'debug' | 'trace' | 'silent' =
    config.LOG_LEVEL;
  t.match([port, level], [5000, 'info']);
  // @ts-expect-error: there is no such setting.
  t.equal(config.NO_SUCH_SETTING, undefined);
  // @ts-expect-error: a port is a number.
  const text: string = config.PORT;
  t.type(text, 'number');
  t.ok(Object.isFrozen(config));
  t.throws(() => {
    (config as Config).PORT = 1;
  }, TypeError);
});

test('An empty or blank variable counts as not set', async (t) => {
  const config = await readConfig({ ...REQUIRED, PORT: '', HOST: ' ', LOG_LEVEL: '\t' });
  t.match(config, { PORT: 5000, HOST: '::', LOG_LEVEL: 'info' });
  t.match(await readMessage({ WEATHER_URL: ' ' }, await addWeather(t)), 'WEATHER_URL is missing');
});

test('A setting with a wrong schema is an error that says so', async (t) => {
  const folder = await createFolder(t);
  const settings = 'export const settings = { properties: { ODD: SCHEMA } };';
  const files = {
    'a/odd.js': settings.replace('SCHEMA', '{ type: "string", odd: true, description: "a" }'),
    'b/odd.js': settings.replace('SCHEMA', '{ type: "boolean", description: "a" }'),
    'c/odd.js': settings.replace('SCHEMA', '{ type: "integer", minimum: 1, description: "a" }'),
    'd/odd.js': settings.replace('SCHEMA', '{ type: "string" }'),
    'f/odd.js': settings.replace('ODD: SCHEMA', 'PORT: { type: "string", description: "a" }'),
    'g/odd.js': settings.replace('SCHEMA', '{ type: "string", pattern: "[", description: "a" }'),
    'h/odd.js': settings.replace(
      'SCHEMA',
      '{ type: "string", requires: "EVEN", description: "a" }',
    ),
    'e/odd.js': settings.replace('SCHEMA', '{ type: "string", description: "a\\nB=c" }'),
  };
  await writeFiles(folder, { ...files, 'package.json': '{ "type": "module" }' });
  const read = (name: string) => readConfig(REQUIRED, [pathToFileURL(`${folder}/${name}/`)]);
  await t.rejects(read('a'), { message: /^The setting ODD cannot be .* unknown keyword: "odd"/ });
  await t.rejects(read('g'), { message: /^The setting ODD cannot be checked: Invalid regular/ });
  await t.rejects(read('h'), { message: /^The setting ODD names EVEN, which is no setting$/ });
  for (const name of ['b', 'c', 'd', 'e'])
    await t.rejects(read(name), { message: /^The setting ODD must have a description, and be/ });
  await t.rejects(read('f'), { message: /^Two files declare the setting PORT: rename one$/ });
});

test('A plugin that is an .mts file has its settings checked too', async (t) => {
  const folder = await createFolder(t);
  await writeFiles(folder, { 'plugin.mts': WEATHER });
  const folders = [...PLUGINS, pathToFileURL(`${folder}/`)];
  t.match(await readMessage({}, folders), 'WEATHER_URL is missing');
});

test('A setting may be one of several numbers', async (t) => {
  const folders = await addPlugin(
    t,
    `const FIXTURE_COUNT = { enum: [1, 2, 'all'], default: 2, description: 'How many' };
    export const settings = { properties: { FIXTURE_COUNT } };`,
  );
  for (const FIXTURE_COUNT of ['1', '2', 'all'])
    t.equal(await readMessage({ FIXTURE_COUNT }, folders), 'valid');
  const message = await readMessage({ FIXTURE_COUNT: '3' }, folders);
  t.match(message, 'FIXTURE_COUNT is "3"; expected 1, 2 or all. Set FIXTURE_COUNT=2, or leave it');
});

test('A setting of any text names its description when it is missing or quoted', async (t) => {
  const folders = await addPlugin(
    t,
    `const FIXTURE_TEXT = { type: 'string', secret: true, description: 'Signs sessions' };
    export const settings = { properties: { FIXTURE_TEXT } };`,
  );
  const expected = 'expected a text \\(Signs sessions\\)\\.';
  const missing = `^  FIXTURE_TEXT is missing; ${expected} Set FIXTURE_TEXT to such a value\\.$`;
  t.match(await readMessage({}, folders), new RegExp(missing, 'm'));
  const quoted = new RegExp(`begins with a quote; ${expected} Write it`);
  t.match(await readMessage({ FIXTURE_TEXT: '"a"' }, folders), quoted);
});

test('The error of a text that is too short names its length', async (t) => {
  const folders = await addPlugin(
    t,
    `const KEY = { type: 'string', minLength: 32, secret: true, description: 'Signs sessions' };
    export const settings = { properties: { KEY } };`,
  );
  const expected = 'KEY is set to something else; expected a text of at least 32 characters (Signs';
  t.match(await readMessage({ KEY: 'short' }, folders), expected);
});

test('The error of an optional setting without a default says that it may be left out', async (t) => {
  const folders = await addPlugin(
    t,
    `const SUPPLIER_URL = { type: 'string', format: 'uri', description: 'Sells' };
    Object.defineProperty(SUPPLIER_URL, '~optional', { value: true });
    export const settings = { properties: { SUPPLIER_URL } };`,
  );
  const message = await readMessage({ SUPPLIER_URL: 'none' }, folders);
  t.match(message, 'Set SUPPLIER_URL to such a value, or leave it out.');
});

test('Blanks around a value are ignored', async (t) => {
  t.equal((await readConfig({ ...REQUIRED, PORT: ' 8080 ' })).PORT, 8080);
});

test('A missing setting names what is expected and the command that supplies it', async (t) => {
  const message = await readMessage({}, await addWeather(t));
  t.match(message, 'WEATHER_URL is missing; expected a weather: URL. Run weather up.');
});

test('All problems are reported at once, one line per variable', async (t) => {
  const environment = {
    PORT: 'http',
    LOG_LEVEL: 'loud',
    SHUTDOWN_DELAY_MS: '-1',
    WEB_CONCURRENCY: '0',
  };
  const error = await readConfig({ ...REQUIRED, ...environment }, await addWeather(t)).catch(
    (error) => error,
  );
  t.equal(error.name, 'EnvironmentError');
  t.strictSame(error.variables.sort(), [...Object.keys(environment), 'WEATHER_URL'].sort());
  t.equal(error.message.split('\n').length, 1 + error.variables.length);
  for (const [name, value] of Object.entries(environment)) {
    t.match(error.message, new RegExp(`^ {2}${name} is "${value}"; expected .+\\. .+\\.$`, 'm'));
  }
});

test('A bad value is refused with the accepted ones', async (t) => {
  const refused: [keyof Config, string[], string][] = [
    ['PORT', ['65536', '-1', '0x1388', '5e3', '80.5', 'true'], 'an integer from 0 to 65535'],
    ['HOST', ['not a host', 'a,b', 'http://localhost'], 'an IP address or a host name'],
    ['LOG_LEVEL', ['INFO', 'verbose', '30'], 'fatal, error, warn, info, debug, trace or silent'],
    ['REQUEST_TIMEOUT_MS', ['0', '600001', '25s'], 'an integer from 1 to 600000'],
    ['SHUTDOWN_DELAY_MS', ['-1', '600001', '3s'], 'an integer from 0 to 600000'],
    ['SHUTDOWN_TIMEOUT_MS', ['0', '600001', '25s'], 'an integer from 1 to 600000'],
    ['WEB_CONCURRENCY', ['0', '1025', 'auto'], 'an integer from 1 to 1024'],
  ];
  for (const [name, values, expected] of refused) {
    for (const value of values)
      t.match(await readMessage({ [name]: value }), new RegExp(`${name} is .*${expected}`));
  }
});

test('The minimum and maximum of a number are accepted', async (t) => {
  for (const PORT of ['0', '1', '65535'])
    t.equal((await readConfig({ ...REQUIRED, PORT })).PORT, Number(PORT));
  for (const HOST of ['localhost', '127.0.0.1', '::1', 'fe80::1%eth0', 'web-1.example.com']) {
    t.equal((await readConfig({ ...REQUIRED, HOST })).HOST, HOST);
  }
});

test('A secret of another form is refused with the accepted one, and never printed', async (t) => {
  const urls = [
    'mysql://root:hunter2@db/app',
    'weather',
    'hunter2',
    'weather://',
    'weather://a:hunter2@ b/',
  ];
  const plugins = await addWeather(t);
  for (const WEATHER_URL of urls) {
    const message = await readMessage({ WEATHER_URL }, plugins);
    t.match(message, 'WEATHER_URL is set to something else; expected a weather: URL', WEATHER_URL);
    t.notMatch(message, /hunter2|root|mysql/, 'does not print the value');
  }
  t.equal(await readMessage({ WEATHER_URL: 'weather://here' }, plugins), 'valid');
});

test('A URL with invalid percent-encoding is refused, whichever setting it is in', async (t) => {
  const properties = await gatherSettings(PLUGINS);
  const isUrl = (schema: object) => ['uri', 'encoded'].includes(Reflect.get(schema, 'format'));
  const names = Object.keys(properties).filter((name) => isUrl(properties[name]!));
  const findRefused = async (url: string): Promise<string[]> => {
    const environment = Object.fromEntries(names.map((name) => [name, url]));
    const error = await readConfig({ ...REQUIRED, ...environment }).catch((error) => error);
    return names.filter((name) => error.variables?.includes(name));
  };
  let accepted = 0;
  for (const scheme of ['https', 'redis', 'postgres']) {
    accepted += names.length - (await findRefused(`${scheme}://%C3%BC:p%25@db/1`)).length;
    for (const user of ['us%er:p', 'us%zz:p', 'u:%ff', 'u:%C3'])
      t.strictSame(await findRefused(`${scheme}://${user}@db/1`), names, user);
  }
  t.ok(accepted > 0 || names.length === 0, 'a valid one is accepted');
});

test('A secret in the wrong variable is not printed, but an honest mistake is', async (t) => {
  const secrets = [
    'postgres://app:hunter2@db/app',
    'hunter2',
    'hunter2secret',
    'correcthorsebattery',
    'sk_live_4eC39HqLyjWDarjtT1zdp7dc',
    '4111111111111111111111',
    '7c9e6679-7425-40de-944b-e07fc1f90ae7',
  ];
  for (const PORT of secrets)
    t.match(await readMessage({ PORT }), 'PORT is not valid; expected an integer from 0', PORT);
  for (const LOG_LEVEL of ['verbose', 'true', '0.5', '80a', '30s', '-1', '127.0.0.1:80'])
    t.match(await readMessage({ LOG_LEVEL }), `LOG_LEVEL is "${LOG_LEVEL}"; expected fatal`);
});

test('A quoted value is refused because of its quotes, and not printed', async (t) => {
  const plugins = await addWeather(t);
  const names = Object.keys(await gatherSettings(plugins));
  t.ok(names.length > 10);
  for (const value of ['"1"', "'hunter2'", '"hunter2', '""']) {
    const environment = Object.fromEntries(names.map((name) => [name, value]));
    const message = await readMessage(environment, plugins);
    for (const name of names)
      t.match(message, `  ${name} is not valid: the value begins with a quote; expected `);
    t.notMatch(message, /hunter2|"1"|undefined/);
  }
});

test('A setting with ignoreCase becomes lower case, and an error shows it as it came', async (t) => {
  const folder = await createFolder(t);
  await writeFiles(folder, {
    'sky.js': `
      const SKY = {
        enum: ['clear', 'grey'], default: 'grey', ignoreCase: true, description: 'The weather',
      };
      export const settings = { properties: { SKY } };`,
    'package.json': '{ "type": "module" }',
  });
  const plugins = [...PLUGINS, pathToFileURL(`${folder}/`)];
  t.match(await readConfig({ ...REQUIRED, SKY: ' Clear ' }, plugins), { SKY: 'clear' });
  t.match(await readConfig({ ...REQUIRED, SKY: '' }, plugins), { SKY: 'grey' });
  t.match(await readMessage({ SKY: 'BLUE' }, plugins), 'SKY is "BLUE"; expected clear or grey. ');
});

test('A limit by another setting is not reported if the other is invalid', async (t) => {
  for (const SHUTDOWN_TIMEOUT_MS of ['"1"', 'soon'])
    t.notMatch(await readMessage({ SHUTDOWN_TIMEOUT_MS }), 'SHUTDOWN_DELAY_MS is');
});

test('A bad value of any setting names what is expected and what to do', async (t) => {
  const all = Object.entries(await gatherSettings(PLUGINS));
  const names = all.map(([name]) => name);
  const message = await readMessage(Object.fromEntries(names.map((name) => [name, '?!'])));
  const refused = message.split('\n').slice(1);
  // Names and certificate files accept any text, and so may settings of an owner.
  const checked = all.filter(([, setting]) =>
    /"(pattern|format|enum|minimum)"/.test(JSON.stringify(setting)),
  );
  t.ok(refused.length >= checked.length, `${refused.length} of ${checked.length}`);
  t.ok(checked.length > names.length / 2);
  for (const line of refused) t.match(line, /^ {2}[A-Z_]+ is .*; expected .+\. .+\.$/);
  t.notMatch(message, 'undefined');
});

test('A SHUTDOWN_DELAY_MS that is not below SHUTDOWN_TIMEOUT_MS is refused', async (t) => {
  const message = await readMessage({ SHUTDOWN_DELAY_MS: '5000', SHUTDOWN_TIMEOUT_MS: '5000' });
  t.match(message, /SHUTDOWN_DELAY_MS is "5000"; expected .* less than SHUTDOWN_TIMEOUT_MS/);
  t.match(
    await readMessage({ SHUTDOWN_TIMEOUT_MS: '3000' }),
    /DELAY_MS is 3000 by default; expected/,
  );
  t.equal(await readMessage({ SHUTDOWN_DELAY_MS: '4999', SHUTDOWN_TIMEOUT_MS: '5000' }), 'valid');
});

test('TRUST_PROXY takes addresses, CIDRs and named ranges', async (t) => {
  const accepted = [
    '10.0.0.1',
    '10.0.0.0/8',
    '::1',
    'fdaa::/16',
    'fe80::1%eth0',
    '::ffff:10.0.0.1',
    'loopback',
    'linklocal, 100.64.0.0/10,uniquelocal',
  ];
  for (const TRUST_PROXY of accepted)
    t.equal(await readMessage({ TRUST_PROXY }), 'valid', TRUST_PROXY);
});

test('TRUST_PROXY refuses values that trust everybody', async (t) => {
  const refused = [
    '1',
    'true',
    '*',
    '0.0.0.0/0',
    '::/0',
    '::/1',
    '::ffff:0:0/96',
    '0.0.0.0/1, 128.0.0.0/1',
    '10.0.0.0/33',
    '10.0.0.0/8/8',
    'fdaa::/129',
    '10.0.0.0/0x8',
    '10.0.0.0/08',
    '10.0.0.1:80',
    '/8',
    '__proto__',
    'constructor',
    'proxy',
    '10.0.0.1,',
  ];
  for (const TRUST_PROXY of refused) {
    t.match(
      await readMessage({ TRUST_PROXY }),
      /TRUST_PROXY is .*comma list of IP addresses/,
      TRUST_PROXY,
    );
  }
});

const declare = (name: string) =>
  `export const settings = { properties: { ${name}: { type: 'string', description: 'a' } } };`;

test('Settings are read from each file in a folder, whatever else it holds', async (t) => {
  const folder = await createFolder(t);
  await writeFiles(folder, {
    'weather.sh': 'throw new Error("not a file of plugins/");',
    'weather.js': declare('WEATHER_URL'),
    'c# 100%?.js': declare('SHARP'),
    'c#/index.js': declare('FLAT'),
    'silent.js': 'await new Promise((end) => setTimeout(end, 100)); export default () => {};',
    'weather.js.map': '{}',
    'weather.d.ts': 'export declare const settings: object;',
    '.#weather.ts': 'a backup of an editor',
    'package.json': '{ "type": "module" }',
  });
  const settings = await gatherSettings([pathToFileURL(`${folder}/`)]);
  t.strictSame(
    Object.keys(settings).sort(),
    [...Object.keys(own.properties), 'WEATHER_URL', 'SHARP', 'FLAT'].sort(),
  );
});

test('A setting may be a list of origins, and may be read only with another', async (t) => {
  const plugins = await addPlugin(
    t,
    `const describe = (fields) => {
      const schema = { type: 'string', description: 'a', ...fields };
      return Object.defineProperty(schema, '~optional', { value: true });
    };
    export const settings = {
      properties: { SHOPS: describe({ format: 'origins', onlyWith: 'TILL' }), TILL: describe({}) },
    };`,
  );
  const TILL = 'a';
  for (const SHOPS of ['*', 'https://a.example', 'https://a.example, http://b.example:8080'])
    t.equal(await readMessage({ SHOPS, TILL }, plugins), 'valid', SHOPS);
  t.match(await readMessage({ SHOPS: 'https://a.example,b', TILL }, plugins), /SHOPS is not valid/);
  t.equal(await readMessage({ SHOPS: 'b' }, plugins), 'valid', 'it is not read');
});

test('A setting that requires another is refused without it, and the other is named', async (t) => {
  const folder = await createFolder(t);
  await writeFiles(folder, {
    'coop.js': `
      const explanation = {
        type: 'string', description: 'Hens', expected: 'a number of hens', remedy: 'Count them',
      };
      const describe = (fields) =>
        Object.defineProperty({ ...explanation, ...fields }, '~optional', { value: true });
      const plain = { remedy: undefined, expected: undefined, description: 'Eggs' };
      export const settings = {
        properties: {
          COOP: describe({ requires: 'HENS' }),
          HENS: describe({}),
          RUN: describe({ ...plain, requires: 'EGGS' }),
          EGGS: describe(plain),
        },
      };`,
    'package.json': '{ "type": "module" }',
  });
  const plugins = [...PLUGINS, pathToFileURL(`${folder}/`)];
  t.match(await readMessage({ COOP: 'a' }, plugins), /HENS is missing; expected a number of hens/);
  const needed = await readMessage({ RUN: 'a' }, plugins);
  t.match(
    needed,
    'EGGS is missing; expected a text (Eggs). RUN needs it: set both, or leave out RUN.',
  );
  t.equal(await readMessage({ COOP: 'a', HENS: '2' }, plugins), 'valid');
  t.equal(await readMessage({ HENS: '2' }, plugins), 'valid');
});
