import assert from 'node:assert/strict';
import { once } from 'node:events';
import net, { type AddressInfo, type Socket } from 'node:net';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { isDeepStrictEqual } from 'node:util';
import { type Client, client, xml } from '@xmpp/client';
import type { Element } from '@xmpp/xml';
import pg from 'pg';
import type { ReadinessReport } from '../../plugins/readiness.ts';
import { EjabberdServer } from '../../proof/examples/ejabberd.ts';
import { Replay, readSteps } from '../../proof/examples/readme.ts';
import { PostgresServer } from '../../proof/postgres.ts';
import { findPort, RunningProcess } from '../../proof/processes.ts';

const FOLDER = import.meta.dirname;
const NOTES = 'notes.localhost';
const PASSWORD = 'hunter2';

let postgres: PostgresServer;
let ejabberd: EjabberdServer;
let environment: Record<string, string>;
let app: App;

before(async () => {
  postgres = await PostgresServer.create();
  ejabberd = await EjabberdServer.create(NOTES);
  environment = {
    DATABASE_URL: postgres.url,
    XMPP_URL: ejabberd.componentUrl,
    HOST: '127.0.0.1',
    RATE_LIMIT_MAX: '0',
    SHUTDOWN_DELAY_MS: '0',
    REQUEST_TIMEOUT_MS: '300000',
    SHUTDOWN_TIMEOUT_MS: '300000',
  };
  const release = start('../../src/release.ts');
  assert.deepEqual(await release.ended, { code: 0, signal: null }, release.lines.join('\n'));
});

after(async () => {
  await app?.[Symbol.asyncDispose]();
  await ejabberd[Symbol.asyncDispose]();
  await postgres[Symbol.asyncDispose]();
});

test('the app starts while the XMPP server is down, and is degraded', async () => {
  app = await startApp();
  await waitForReadiness(app, { status: 'degraded', xmpp: 'down' });
});

test('the app joins the XMPP server when the server is up', async () => {
  await ejabberd.start();
  await waitForReadiness(app, { status: 'ready', xmpp: 'up' });
  await ejabberd.register('alice', PASSWORD);
  await ejabberd.register('bob', PASSWORD);
});

test('alice gets the answers that the README shows', async () => {
  await using alice = await Chat.open('alice');
  const steps = readSteps(path.join(FOLDER, 'README.md'), 'text', 'alice: ');
  await new Replay().run(steps, async (text) => `notes: ${await alice.ask(text)}`);
});

test('bob gets the note that alice has added, and HTTP has it too', async () => {
  await using alice = await Chat.open('alice');
  await using bob = await Chat.open('bob');
  const id = (await alice.ask('add Ünïcödé <&> 🥖')).replace('Added ', '');
  assert.equal(await bob.ask(`  SHOW  ${id} `), 'Ünïcödé <&> 🥖');
  const answer = await fetch(`${app.url}/notes/${id}`);
  assert.equal(((await answer.json()) as { title: string }).title, 'Ünïcödé <&> 🥖');
  assert.equal(await bob.ask(`delete ${id}`), `Deleted ${id}`);
  assert.equal(await alice.ask(`show ${id}`), `Note ${id} does not exist.`);
});

test('a note with characters that XML cannot contain does not end the connection', async () => {
  await using bob = await Chat.open('bob');
  const body = JSON.stringify({ title: 'bell \u0007', body: 'escape \u001b and \ufffe' });
  const headers = { 'content-type': 'application/json' };
  const { id } = (await (
    await fetch(`${app.url}/notes`, { method: 'POST', headers, body })
  ).json()) as { id: string };
  assert.equal(await bob.ask(`show ${id}`), 'bell \ufffd\nescape \ufffd and \ufffd');
  assert.equal(await bob.ask(`delete ${id}`), `Deleted ${id}`);
});

for (const text of [
  'help',
  'constructor',
  '?',
  'show',
  'delete x',
  'add',
  `add ${'x'.repeat(201)}`,
]) {
  test(`"${text.slice(0, 20)}" gets an answer with help`, async () => {
    await using bob = await Chat.open('bob');
    assert.match(
      await bob.ask(text),
      /^(Say list, add TITLE|Note x? ?does not exist|The title must NOT have)/,
    );
  });
}

test('500 messages at once are answered in their order, without broken characters', async () => {
  await using alice = await Chat.open('alice');
  const titles = Array.from({ length: 500 }, (_, position) => `${position} ${'🥖é'.repeat(80)}`);
  const added = await Promise.all(titles.map((title) => alice.ask(`add ${title}`)));
  const rows = await postgres.query<{ id: string; title: string }>('select id, title from notes');
  const found = new Map(rows.map(({ id, title }) => [`Added ${id}`, title]));
  assert.deepEqual(
    added.map((answer) => found.get(answer)),
    titles,
  );
  await postgres.query('delete from notes');
});

test('service discovery and pings are answered, and unknown queries are refused', async () => {
  await using bob = await Chat.open('bob');
  const { iqCaller } = bob.client;
  const info = await iqCaller.get(xml('query', 'http://jabber.org/protocol/disco#info'), NOTES);
  assert.deepEqual(info?.getChild('identity')?.attrs, {
    category: 'client',
    type: 'bot',
    name: 'poort',
  });
  const features = info?.getChildren('feature').map(({ attrs }: Element) => attrs.var);
  assert.deepEqual(features, [
    'http://jabber.org/protocol/disco#info',
    'http://jabber.org/protocol/disco#items',
    'urn:xmpp:ping',
  ]);
  const items = await iqCaller.get(xml('query', 'http://jabber.org/protocol/disco#items'), NOTES);
  assert.deepEqual(items?.children, []);
  const pong = await iqCaller.request(
    xml('iq', { type: 'get', to: NOTES }, xml('ping', 'urn:xmpp:ping')),
  );
  assert.equal(pong.attrs.type, 'result');
  await assert.rejects(iqCaller.get(xml('query', 'jabber:iq:last'), NOTES), /service-unavailable/);
});

test('the app survives the end of the XMPP server, and joins it again', async () => {
  await ejabberd.kill();
  await waitForReadiness(app, { status: 'degraded', xmpp: 'down' });
  assert.equal((await fetch(`${app.url}/notes`)).status, 200);
  await ejabberd.start();
  await waitForReadiness(app, { status: 'ready', xmpp: 'up' });
  await using bob = await Chat.open('bob');
  assert.match(await bob.ask('help'), /^Say list/);
});

test('messages get an apology while the database is down', async () => {
  await using bob = await Chat.open('bob');
  await postgres.kill();
  assert.equal(await bob.ask('list'), 'That failed. Try again later.');
  await postgres.start();
  while ((await bob.ask('list')) !== 'There are no notes.') await sleep(100);
});

test('SIGTERM: open messages are answered, the component leaves, and the exit code is 0', async () => {
  await using bob = await Chat.open('bob');
  const lock = new pg.Client({ connectionString: postgres.url });
  await lock.connect();
  await lock.query('begin; lock table notes in access exclusive mode');
  const added = bob.ask('add first');
  const waiting = `select from pg_stat_activity where wait_event_type = 'Lock' and query like 'insert into "notes"%'`;
  while ((await postgres.query(waiting)).length === 0) await sleep(50);
  app.process.signal('SIGTERM');
  await app.process.waitForLine('Draining');
  await lock.end();
  assert.match(await added, /^Added /);
  assert.deepEqual(await app.process.ended, { code: 0, signal: null });
  const warnings = app.process.lines.slice(
    app.process.lines.findIndex((line) => line.includes('Draining')),
  );
  assert.doesNotMatch(warnings.join('\n'), /"level":[456]0/);
  await assert.rejects(bob.ask('list'), /remote-server-not-found/);
});

test('the log has a line for each message, without secrets and texts', () => {
  const log = app.process.lines.join('\n');
  assert.match(log, /"command":"add","durationMs":[\d.]+,"msg":"message"/);
  assert.doesNotMatch(log, /open-sesame|🥖|Groceries/);
});

for (const url of [
  'http://notes.localhost:s3cret@127.0.0.1:5347',
  'xmpp://127.0.0.1',
  'xmpp://:s3cret@127.0.0.1',
  'xmpp://a:s3cret@b/c',
]) {
  test(`XMPP_URL=${url} stops the start; the log has the reason but not the secret`, async () => {
    const process = start('web.ts', { XMPP_URL: url });
    assert.deepEqual(await process.ended, { code: 1, signal: null });
    assert.match(process.lines.join('\n'), /XMPP_URL is set to something else; expected an xmpp:/);
    assert.doesNotMatch(process.lines.join('\n'), /s3cret/);
  });
}

test('a wrong secret is a warning and a degraded app', async () => {
  await using other = await startApp({
    XMPP_URL: ejabberd.componentUrl.replace(/:[^:@]+@/, ':wr0ng@'),
  });
  await waitForReadiness(other, { status: 'degraded', xmpp: 'down' });
  const line = await other.process.waitForLine('XMPP is away');
  assert.match(line, /not-authorized/);
  assert.doesNotMatch(other.process.lines.join('\n'), /wr0ng/);
});

test('the app tries again if the server is silent while it joins, and then goes away', async () => {
  let connections = 0;
  const { hostname, port } = new URL(ejabberd.componentUrl.replace('xmpp:', 'http:'));
  const router = net.createServer((socket) => {
    socket.on('error', () => undefined);
    connections++;
    if (connections === 2) setTimeout(() => socket.resetAndDestroy(), 3_000);
    if (connections > 2) socket.pipe(net.connect(Number(port), hostname)).pipe(socket);
  });
  await once(router.listen(0, '127.0.0.1'), 'listening');
  const { port: routerPort } = router.address() as AddressInfo;
  await using other = await startApp({
    XMPP_URL: ejabberd.componentUrl.replace(/@.*/, `@127.0.0.1:${routerPort}`),
  });
  await other.process.waitForLine('XMPP is away');
  await waitForReadiness(other, { status: 'ready', xmpp: 'up' });
  router.close();
});

/** A user who chats with the app. */
class Chat implements AsyncDisposable {
  readonly client: Client;
  readonly #waiting: PromiseWithResolvers<string>[] = [];

  private constructor(user: string) {
    this.client = client({
      service: ejabberd.url,
      domain: 'localhost',
      username: user,
      password: PASSWORD,
    });
    this.client.reconnect.stop();
    this.client.on('error', () => undefined);
    this.client.on('connect', () => (this.client.socket as Socket).setEncoding('utf8'));
    this.client.on('stanza', (stanza) => {
      if (stanza.is('message')) this.#hear(stanza);
    });
  }

  static async open(user: string): Promise<Chat> {
    const chat = new Chat(user);
    await chat.client.start();
    return chat;
  }

  /** Sends a message. Resolves with the answer, or rejects with an error stanza. */
  async ask(text: string): Promise<string> {
    const answer = Promise.withResolvers<string>();
    this.#waiting.push(answer);
    await this.client.send(xml('message', { type: 'chat', to: NOTES }, xml('body', {}, text)));
    return answer.promise;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.client.stop();
  }

  #hear(stanza: Element): void {
    const answer = this.#waiting.shift();
    const condition = stanza.getChild('error')?.getChildElements()[0]?.name;
    if (condition) answer?.reject(new Error(condition));
    else answer?.resolve(stanza.getChildText('body') ?? '');
  }
}

interface App extends AsyncDisposable {
  url: string;
  process: RunningProcess;
}

async function startApp(settings: Record<string, string> = {}): Promise<App> {
  const port = await findPort();
  const process = start('web.ts', { PORT: `${port}`, ...settings });
  await process.waitForLine('Server listening');
  const url = `http://127.0.0.1:${port}`;
  return { url, process, [Symbol.asyncDispose]: () => process[Symbol.asyncDispose]() };
}

function start(program: string, settings: Record<string, string> = {}): RunningProcess {
  return new RunningProcess(process.execPath, [program], {
    folder: FOLDER,
    environment: { ...environment, ...settings },
  });
}

async function waitForReadiness(
  { url, process }: App,
  expected: { status: string; xmpp: string },
): Promise<void> {
  for (let came = {}; !isDeepStrictEqual(came, expected); await sleep(100)) {
    assert(!process.hasEnded, process.lines.join('\n'));
    const { status, services } = (await (
      await fetch(`${url}/health/ready`)
    ).json()) as ReadinessReport;
    came = { status, xmpp: services.xmpp?.status };
  }
}
