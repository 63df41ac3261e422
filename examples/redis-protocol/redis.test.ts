import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import net from 'node:net';
import path from 'node:path';
import { after, before, suite, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { createClient } from '@redis/client';
import { Redis, type RedisOptions } from 'ioredis';
import pg from 'pg';
import { Pool } from 'undici';
import { findForemanPorts, RunningForeman, waitUntilReady } from '../../proof/examples/foreman.ts';
import { Replay, readSteps } from '../../proof/examples/readme.ts';
import { PostgresServer } from '../../proof/postgres.ts';
import { findPort, RunningProcess } from '../../proof/processes.ts';
import type { Note } from '../../routes/notes/schema.ts';

const execute = promisify(execFile);

const FOLDER = import.meta.dirname;
const HOST = '127.0.0.1';
const GROCERIES = '{"title":"Groceries","body":"Bread, milk"}';
const PASSWORD = 'correct horse';

/** The number of requests of one throughput measurement, and of its connections. */
const REQUESTS = 4_000;
const CONNECTIONS = 20;

let postgres: PostgresServer;
let environment: Record<string, string>;

before(async () => {
  postgres = await PostgresServer.create();
  environment = { DATABASE_URL: postgres.url, HOST, RATE_LIMIT_MAX: '0', SHUTDOWN_DELAY_MS: '0' };
  const release = startProgram('../../src/release.ts');
  assert.deepEqual(await release.ended, { code: 0, signal: null }, release.lines.join('\n'));
});

after(() => postgres[Symbol.asyncDispose]());

suite('beside the web process, started by foreman', () => {
  let foreman: RunningForeman;
  let web: string;
  let port: number;

  before(async () => {
    const ports = await findForemanPorts();
    foreman = new RunningForeman('foreman start', FOLDER, { ...environment, PORT: `${ports[0]}` });
    web = `http://${HOST}:${ports[0]}`;
    port = ports[1];
    await waitUntilReady(web, foreman.process);
    await waitForListener(port, foreman.process);
  });

  after(() => foreman[Symbol.asyncDispose]());

  test('redis-cli prints what the README shows', async () => {
    const steps = readSteps(path.join(FOLDER, 'README.md'), 'console', '$ ');
    await new Replay().run(steps, (command) =>
      runCommand(command.replace(/localhost:5000\b/, web).replace(/-p 5100\b/, `-p ${port}`)),
    );
  });

  test('a note posted over HTTP is read, listed and deleted over the Redis protocol', async () => {
    await using redis = await connectNodeRedis({ port });
    const body = JSON.stringify({ title: 'Ünïcödé 🥖', body: 'a\r\nb' });
    const posted = await fetch(`${web}/notes`, {
      method: 'POST',
      body,
      headers: { 'content-type': 'application/json' },
    });
    const note = (await posted.json()) as Note;
    const key = `note:${note.id}`;
    assert.deepEqual(JSON.parse((await redis.client.get(key)) ?? ''), note);
    assert((await Array.fromAsync(redis.client.scanIterator())).flat().includes(key));
    assert.equal(await redis.client.del(key), 1);
    assert.equal((await fetch(`${web}/notes/${note.id}`)).status, 404);
  });

  test('a note set over the Redis protocol is read over HTTP', async () => {
    await using redis = await connectNodeRedis({ port });
    const key = String(
      await redis.client.set('note', JSON.stringify({ title: 'Ünïcödé 🥖', body: 'a\r\nb' })),
    );
    const note = (await (await fetch(`${web}/notes/${key.replace('note:', '')}`)).json()) as Note;
    assert.deepEqual([note.title, note.body], ['Ünïcödé 🥖', 'a\r\nb']);
  });
});

suite('alone', () => {
  let listener: Listener;

  before(async () => {
    listener = await openListener();
  });

  after(() => listener[Symbol.asyncDispose]());

  for (const protocol of [2, 3] as const) {
    test(`ioredis gets every answer as RESP${protocol}`, async () => {
      await using redis = connectIoRedis({ port: listener.port, protocol });
      const { client } = redis;
      assert.equal(await client.ping(), 'PONG');
      assert.equal(await client.select(0), 'OK');
      const count = await client.dbsize();
      const key = await client.set('note', GROCERIES);
      assert.match(key, /^note:/);
      assert.equal(JSON.parse((await client.get(key)) ?? '').title, 'Groceries');
      assert.equal(await client.get('note:none'), null);
      assert.equal(await client.exists(key, key, 'note:none'), 2);
      assert.equal(await client.dbsize(), count + 1);
      const answers = await client
        .pipeline()
        .ping('one')
        .get(key)
        .call('FLUSHALL')
        .del(key, 'note:none')
        .get(key)
        .exec();
      assert.deepEqual(
        answers?.map(([error, answer]) => error?.message ?? answer).toSpliced(1, 1),
        ['one', "ERR unknown command 'FLUSHALL'", 1, null],
      );
      assert.equal(await client.quit(), 'OK');
    });

    test(`node-redis gets every answer as RESP${protocol}`, async () => {
      await using redis = await connectNodeRedis({ port: listener.port, protocol });
      const { client } = redis;
      const hello = await client.sendCommand(['HELLO']);
      assert.deepEqual(
        protocol === 2 ? Array.isArray(hello) : Object(hello).proto,
        protocol === 2 ? true : 3,
      );
      const key = String(await client.set('note', GROCERIES));
      const answers = await Promise.all([
        client.ping('one'),
        client.exists(key),
        client.get('note:none'),
        client.del(key),
      ]);
      assert.deepEqual(answers, ['one', 1, null, 1]);
      await assert.rejects(
        client.set('note', '{"title":""}'),
        /^Error: ERR note\/title must NOT have fewer than 1/,
      );
      assert.equal(await client.sendCommand(['COMMAND', 'COUNT']), 13);
      assert.match(await client.info(), /loading:0\r\n/);
    });
  }
});

suite('commands on a bare connection', () => {
  let listener: Listener;

  before(async () => {
    listener = await openListener();
  });

  after(() => listener[Symbol.asyncDispose]());

  test('5,000 pipelined commands are answered in their order', async () => {
    const words = Array.from({ length: 5_000 }, (_, position) => `${position}`);
    const sent = words.map((word) => `*2\r\n$4\r\nPING\r\n$${word.length}\r\n${word}\r\n`).join('');
    const answers = words.map((word) => `$${word.length}\r\n${word}\r\n`).join('');
    assert.equal(await exchange(listener.port, `${sent}QUIT\r\n`), `${answers}+OK\r\n`);
  });

  test('a command may arrive in one packet for each byte', async () => {
    const sent = `*3\r\n$3\r\nSET\r\n$4\r\nnote\r\n$16\r\n{"title":"🥖"}\r\nPING "a b"\r\nQUIT\r\n`;
    const answer = await exchange(
      listener.port,
      ...Array.from(Buffer.from(sent), (byte) => Buffer.of(byte)),
    );
    assert.match(answer, /^\$41\r\nnote:[0-9a-f-]{36}\r\n\$3\r\na b\r\n\+OK\r\n$/);
  });

  test('inline commands may have words in quotes', async () => {
    const answer = await exchange(
      listener.port,
      `  ping\r\n\r\nPING 'it\\'s'\nPING "a \\"b\\""\r\nquit\r\n`,
    );
    assert.equal(answer, `+PONG\r\n$4\r\nit's\r\n$5\r\na "b"\r\n+OK\r\n`);
  });

  test('a client that ends its side first gets all answers', async () => {
    const socket = net.connect({ port: listener.port, host: HOST });
    socket.end('PING\r\nDBSIZE\r\n');
    assert.match(await readAll(socket), /^\+PONG\r\n:\d+\r\n$/);
  });

  const wrong: [name: string, sent: string, answer: RegExp][] = [
    ['an unknown command', 'FLUSHALL\r\n', /^-ERR unknown command 'FLUSHALL'\r\n$/],
    [
      'an unknown command with control characters',
      '*1\r\n$6\r\nA\r\n+OK\r\n',
      /^-ERR unknown command 'A {2}\+OK'\r\n$/,
    ],
    [
      'a property of every object',
      '__proto__\r\nconstructor\r\n',
      /^(-ERR unknown command '\w+'\r\n){2}$/,
    ],
    ['too few arguments', 'GET\r\n', /^-ERR wrong number of arguments for 'get' command\r\n$/],
    ['too many arguments', 'GET a b\r\n', /^-ERR wrong number of arguments for 'get' command\r\n$/],
    ['a note that is not JSON', 'SET note x\r\n', /^-ERR the value is not JSON\r\n$/],
    ['a note of another type', "SET note '[]'\r\n", /^-ERR note must be object\r\n$/],
    [
      'a note with a field too many',
      `SET note '{"title":"a","x":1}'\r\n`,
      /^-ERR note must NOT have additional properties\r\n$/,
    ],
    [
      'a note with a NUL',
      `SET note '{"title":"\\u0000"}'\r\n`,
      /^-ERR note\/title must match pattern/,
    ],
    ['another key', 'SET other 1\r\n', /^-ERR SET note creates a note/],
    ['a database that is not there', 'SELECT 1\r\n', /^-ERR DB index is out of range\r\n$/],
    [
      'a cursor that is none',
      'SCAN x\r\nSCAN 99999999999999999999\r\n',
      /^(-ERR invalid cursor\r\n){2}$/,
    ],
    [
      'options that SCAN does not have',
      'SCAN 0 COUNT 0\r\nSCAN 0 MATCH\r\nSCAN 0 X 1\r\n',
      /^(-ERR syntax error\r\n){2}/,
    ],
    [
      'a pattern that would take long',
      'SCAN 0 MATCH note:+(+([0-9a-f-])+([0-9a-f-]))z\r\nSCAN 0 MATCH *?*?*?z\r\n',
      /^(-ERR the pattern [^\r]+\r\n){2}$/,
    ],
    [
      'a version that is not there',
      'HELLO 4\r\nHELLO 2 X\r\n',
      /^-NOPROTO [^\r]+\r\n-ERR Syntax error in HELLO\r\n$/,
    ],
    [
      'a password where none is set',
      'AUTH x\r\n',
      /^-ERR AUTH is called, but no password is configured\.\r\n$/,
    ],
    [
      'keys of no notes',
      'GET x\r\nEXISTS note:x\r\nDEL note:urn:uuid:x\r\n',
      /^\$-1\r\n:0\r\n:0\r\n$/,
    ],
  ];

  for (const [name, sent, answer] of wrong) {
    test(`${name} gets its answer, and the connection goes on`, async () => {
      const came = await exchange(listener.port, `${sent}PING end\r\nQUIT\r\n`);
      const end = '$3\r\nend\r\n+OK\r\n';
      assert(came.endsWith(end), `the connection does not go on: ${JSON.stringify(came)}`);
      assert.match(came.slice(0, -end.length), answer);
    });
  }

  const malformed = {
    'a number of parts that is no number': '*x\r\n',
    'fewer parts than none': '*-1\r\n',
    'more parts than there may be': '*1000000000\r\n',
    'a part that is no string': '*1\r\n:5\r\n',
    'a part without a length': '*1\r\n$x\r\n',
    'a part that is null': '*1\r\n$-1\r\n',
    'an array in an array': '*1\r\n*1\r\n$4\r\nPING\r\n',
    'half a line end': '*1\n$4\nPING\n',
    'quotes without an end': 'PING "x\r\n',
    'many quotes without an end': `"${'\\"'.repeat(30_000)}\r\n`,
    'a part over the limit': '*1\r\n$65537\r\n',
    'parts over the limit together': `*3\r\n$40000\r\n${'x'.repeat(40_000)}\r\n$40000\r\n`,
    'a line over the limit': 'x'.repeat(70_000),
    'a form of a web page': 'POST / HTTP/1.1\r\nHost: a\r\n\r\nPING\r\n',
    'a request of a web page': 'Host: a\r\n\r\nPING\r\n',
    'bytes that are not UTF-8': Buffer.from('*2\r\n$4\r\nPING\r\n$1\r\n\xff\r\n', 'latin1'),
  };

  for (const [name, sent] of Object.entries(malformed)) {
    test(`${name} ends the connection with an error`, async () => {
      assert.match(
        await exchange(listener.port, 'PING\r\n', sent),
        /^\+PONG\r\n-ERR Protocol error: [^\r]+\r\n$/,
      );
      assert.equal(await exchange(listener.port, 'PING\r\nQUIT\r\n'), '+PONG\r\n+OK\r\n');
    });
  }

  test('a client that sends but does not read delays no other client', async () => {
    const key = /note:[0-9a-f-]{36}/.exec(
      await exchange(
        listener.port,
        `SET note '{"title":"a","body":"${'b'.repeat(10_000)}"}'\r\nQUIT\r\n`,
      ),
    )?.[0];
    const deaf = net.connect({ port: listener.port, host: HOST });
    deaf.on('error', () => undefined).write(`GET ${key}\r\n`.repeat(20_000));
    assert.equal(await exchange(listener.port, 'PING\r\nQUIT\r\n'), '+PONG\r\n+OK\r\n');
    deaf.destroy();
  });
});

test('SCAN lists every key, even of notes whose ids start alike', async () => {
  await using listener = await openListener();
  await using redis = connectIoRedis({ port: listener.port });
  const insert = `insert into notes (id, title, body, created_at, updated_at)
    select ('01980a5e-7c1a-7b3e-8000-' || lpad(to_hex(number), 12, '0'))::uuid, 'Alike', '', now(), now()
    from generate_series(1, 250) as number`;
  await postgres.query(insert);
  const rows = await postgres.query<{ id: string }>('select id from notes');
  const keys = rows.map(({ id }) => `note:${id}`).sort();
  const found = async (options: object) =>
    [...new Set((await Array.fromAsync(redis.client.scanStream(options))).flat())].sort();
  assert.deepEqual(await found({}), keys);
  assert.deepEqual(await found({ count: 7 }), keys);
  assert.deepEqual(
    await found({ match: 'note:01980a5e-*0[0-4]' }),
    keys.filter((key) => /^note:01980a5e-.*0[0-4]$/.test(key)),
  );
  assert.equal(await redis.client.dbsize(), keys.length);
  const printed = await runCommand(`redis-cli -p ${listener.port} --scan`);
  assert.deepEqual([...new Set(printed.trim().replaceAll('"', '').split('\n'))].sort(), keys);
});

suite('with a password', () => {
  let listener: Listener;

  before(async () => {
    listener = await openListener({ REDIS_PASSWORD: PASSWORD });
  });

  after(() => listener[Symbol.asyncDispose]());

  test('nothing is answered without the password', async () => {
    const sent =
      'PING\r\nGET x\r\nHELLO 3\r\nAUTH wrong\r\nHELLO 3 AUTH default wrong\r\nAUTH other "correct horse"\r\nINFO\r\nQUIT\r\n';
    const codes = (await exchange(listener.port, sent))
      .split('\r\n')
      .map((line) => line.split(' ')[0]);
    assert.deepEqual(codes, [
      '-NOAUTH',
      '-NOAUTH',
      '-NOAUTH',
      '-WRONGPASS',
      '-WRONGPASS',
      '-WRONGPASS',
      '-NOAUTH',
      '+OK',
      '',
    ]);
  });

  test('AUTH and HELLO accept the password, and the clients send it', async () => {
    assert.match(
      await exchange(listener.port, 'AUTH "correct horse"\r\nPING\r\nQUIT\r\n'),
      /^\+OK\r\n\+PONG/,
    );
    assert.match(
      await exchange(listener.port, 'HELLO 3 AUTH default "correct horse" SETNAME a\r\nQUIT\r\n'),
      /^%6\r\n/,
    );
    await using ioredis = connectIoRedis({ port: listener.port, password: PASSWORD });
    await using redis = await connectNodeRedis({ port: listener.port, password: PASSWORD });
    assert.deepEqual([await ioredis.client.ping(), await redis.client.ping()], ['PONG', 'PONG']);
    assert.equal(
      await runCommand(`REDISCLI_AUTH='${PASSWORD}' redis-cli -p ${listener.port} PING`),
      'PONG\n',
    );
  });

  test('the log has a line for each command, without passwords and notes', async () => {
    await exchange(
      listener.port,
      `AUTH "${PASSWORD}"\r\nSET note '${GROCERIES}'\r\n${PASSWORD}\r\nQUIT\r\n`,
    );
    await listener.process.waitForLine('"command":"SET"');
    const log = listener.process.lines.join('\n');
    assert.doesNotMatch(log, /correct|horse|Groceries/i);
    assert.match(log, /"command":"SET","durationMs":[\d.]+,"address":"127.0.0.1"/);
  });
});

suite('the process', () => {
  test('SIGTERM: open commands are answered, all connections close, and the exit code is 0', async () => {
    await using listener = await openListener({
      REQUEST_TIMEOUT_MS: '300000',
      SHUTDOWN_TIMEOUT_MS: '300000',
    });
    const idle = net.connect({ port: listener.port, host: HOST });
    await once(
      idle.on('error', () => undefined),
      'connect',
    );
    await using lock = await lockNotes();
    const answer = exchange(listener.port, `SET note '${GROCERIES}'\r\nDBSIZE\r\n`);
    await lock.waitForWaiting();
    listener.process.signal('SIGTERM');
    await listener.process.waitForLine('Draining');
    assert.equal(await readAll(idle), '');
    await assert.rejects(exchange(listener.port, 'PING\r\n'), { code: 'ECONNREFUSED' });
    listener.process.signal('SIGTERM');
    await lock[Symbol.asyncDispose]();
    assert.match(await answer, /^\$41\r\nnote:[0-9a-f-]{36}\r\n:\d+\r\n$/);
    assert.deepEqual(await listener.process.ended, { code: 0, signal: null });
  });

  test('SIGTERM: commands are answered for SHUTDOWN_DELAY_MS', async () => {
    await using listener = await openListener({
      SHUTDOWN_DELAY_MS: '10000',
      SHUTDOWN_TIMEOUT_MS: '300000',
    });
    await using redis = connectIoRedis({ port: listener.port, retryStrategy: () => null });
    await redis.client.ping();
    listener.process.signal('SIGTERM');
    await listener.process.waitForLine('Draining');
    assert.equal(await redis.client.ping(), 'PONG');
    assert.match(await exchange(listener.port, 'INFO\r\nQUIT\r\n'), /loading:1\r\nstatus:draining/);
    await once(redis.client, 'end');
    assert.deepEqual(await listener.process.ended, { code: 0, signal: null });
  });

  test('SIGTERM: at SHUTDOWN_TIMEOUT_MS the exit code is 1, and the log names what was open', async () => {
    await using listener = await openListener({ SHUTDOWN_TIMEOUT_MS: '1000' });
    await using lock = await lockNotes();
    const answer = exchange(listener.port, `SET note '${GROCERIES}'\r\n`);
    await lock.waitForWaiting();
    listener.process.signal('SIGTERM');
    assert.deepEqual(await listener.process.ended, { code: 1, signal: null });
    assert.equal(await answer.catch(() => ''), '');
    const line = await listener.process.waitForLine('Still open at SHUTDOWN_TIMEOUT_MS');
    assert.equal(JSON.parse(line).requests[0].command, 'SET');
  });

  test('a taken port: the log names it, and the exit code is 1', async () => {
    await using listener = await openListener();
    const second = startProgram('redis.ts', { PORT: `${listener.port}` });
    assert.deepEqual(await second.ended, { code: 1, signal: null });
    assert.match(
      JSON.parse(second.lines.at(-1)!).msg,
      new RegExp(`^Port ${listener.port} is taken by another process`),
    );
  });

  test('commands get an error while the database is down, and notes when it is up again', async () => {
    await using listener = await openListener();
    const key = (await runCommand(`redis-cli -p ${listener.port} SET note '${GROCERIES}'`))
      .trim()
      .replaceAll('"', '');
    await postgres.kill();
    assert.match(
      await exchange(listener.port, `GET ${key}\r\nQUIT\r\n`),
      /^-ERR The command failed; try again later\r\n/,
    );
    await waitFor(async () => /loading:1/.test(await exchange(listener.port, 'INFO\r\nQUIT\r\n')));
    await postgres.start();
    await waitFor(async () =>
      /Groceries/.test(await exchange(listener.port, `GET ${key}\r\nQUIT\r\n`)),
    );
    assert.match(await exchange(listener.port, 'INFO\r\nQUIT\r\n'), /loading:/);
  });
});

test('redis-benchmark gets no error', async (t) => {
  await using listener = await openListener({ LOG_LEVEL: 'warn' });
  await using web = await openWeb({ LOG_LEVEL: 'warn' });
  const key = (await runCommand(`redis-cli -p ${listener.port} SET note '${GROCERIES}'`))
    .trim()
    .replaceAll('"', '');
  const path = `/notes/${key.replace('note:', '')}`;
  await measureHttp(web.port, path);
  t.diagnostic(
    `GET /notes/:id over HTTP, ${CONNECTIONS} connections: ${await measureHttp(web.port, path)} a second`,
  );
  for (const [command, pipeline] of [
    ['PING', 1],
    [`GET ${key}`, 1],
    [`GET ${key}`, 16],
    [`SET note '${GROCERIES}'`, 1],
  ]) {
    const rate = await measureRedis(listener.port, `-P ${pipeline} ${command}`);
    assert(rate > 0);
    const [name] = String(command).split(' ');
    t.diagnostic(
      `${name} over the Redis protocol, ${CONNECTIONS} connections, ${pipeline} at once: ${rate} a second`,
    );
  }
});

/** Returns the rate of redis-benchmark. It fails if an answer is an error. */
async function measureRedis(port: number, command: string): Promise<number> {
  const printed = await runCommand(
    `redis-benchmark --csv -p ${port} -c ${CONNECTIONS} -n ${REQUESTS} ${command}`,
  );
  return Math.round(Number(printed.split('\n')[1]?.split('","').at(-7)));
}

async function measureHttp(port: number, path: string): Promise<number> {
  await using stack = new AsyncDisposableStack();
  const pool = stack.adopt(
    new Pool(`http://${HOST}:${port}`, { connections: CONNECTIONS }),
    (pool) => pool.close(),
  );
  const startedAt = performance.now();
  const ask = async () => {
    for (let count = 0; count < REQUESTS / CONNECTIONS; count += 1) {
      const { statusCode, body } = await pool.request({ path, method: 'GET' });
      assert.equal(statusCode, 200);
      await body.dump();
    }
  };
  await Promise.all(Array.from({ length: CONNECTIONS }, ask));
  return Math.round(REQUESTS / ((performance.now() - startedAt) / 1_000));
}

interface Listener extends AsyncDisposable {
  port: number;
  process: RunningProcess;
}

/** Starts the redis process on a free port. */
function openListener(settings: Record<string, string> = {}): Promise<Listener> {
  return openProgram('redis.ts', settings);
}

function openWeb(settings: Record<string, string>): Promise<Listener> {
  return openProgram('../../src/web.ts', settings);
}

async function openProgram(program: string, settings: Record<string, string>): Promise<Listener> {
  const port = await findPort();
  const process = startProgram(program, { PORT: `${port}`, ...settings });
  await waitForListener(port, process);
  return { port, process, [Symbol.asyncDispose]: () => process[Symbol.asyncDispose]() };
}

function startProgram(program: string, settings: Record<string, string> = {}): RunningProcess {
  return new RunningProcess(process.execPath, [program], {
    folder: FOLDER,
    environment: { ...environment, ...settings },
  });
}

async function waitForListener(port: number, process: RunningProcess): Promise<void> {
  await waitFor(async () => {
    assert(!process.hasEnded, process.lines.join('\n'));
    const socket = net.connect({ port, host: HOST });
    return once(socket, 'connect')
      .then(
        () => true,
        () => false,
      )
      .finally(() => socket.destroy());
  });
}

async function waitFor(holds: () => Promise<boolean>): Promise<void> {
  while (!(await holds())) await sleep(50);
}

function connectIoRedis({
  port,
  ...options
}: Omit<RedisOptions, 'replyMapping'> & { port: number }): AsyncDisposable & { client: Redis } {
  const client = new Redis(port, HOST, options);
  client.on('error', () => undefined);
  return { client, [Symbol.asyncDispose]: async () => client.disconnect() };
}

async function connectNodeRedis({
  port,
  protocol = 3,
  password,
}: {
  port: number;
  protocol?: 2 | 3;
  password?: string;
}) {
  const client = createClient({
    RESP: protocol,
    socket: { host: HOST, port },
    ...(password && { password }),
  });
  client.on('error', () => undefined);
  await client.connect();
  return { client, [Symbol.asyncDispose]: async () => client.destroy() };
}

/** Sends bytes on a new connection and returns all that arrives until the process closes it. */
async function exchange(port: number, ...parts: (string | Buffer)[]): Promise<string> {
  const socket = net.connect({ port, host: HOST, noDelay: true });
  const send = async () => {
    for (const part of parts) await new Promise((resolve) => socket.write(part, resolve));
  };
  const [received] = await Promise.all([readAll(socket), send()]);
  return received;
}

async function readAll(socket: net.Socket): Promise<string> {
  return Buffer.concat(await socket.toArray()).toString();
}

/** Returns what a shell command prints to a terminal. */
async function runCommand(command: string): Promise<string> {
  const { stdout } = await execute('sh', ['-c', command], {
    env: { PATH: process.env.PATH, FAKETTY: '1' },
  });
  return stdout;
}

/** Locks the table of notes. */
async function lockNotes(): Promise<AsyncDisposable & { waitForWaiting(): Promise<void> }> {
  const client = new pg.Client({ connectionString: postgres.url });
  await client.connect();
  await client.query('begin; lock table notes in access exclusive mode');
  const waiting = `select from pg_stat_activity where wait_event_type = 'Lock' and query like 'insert into "notes"%'`;
  return {
    waitForWaiting: () => waitFor(async () => (await postgres.query(waiting)).length > 0),
    [Symbol.asyncDispose]: async () => client.end(),
  };
}
