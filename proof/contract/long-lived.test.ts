import { once } from 'node:events';
import { connect } from 'node:net';
import { type Test, test } from 'tap';
import { DOWN, type Environment, poll, startProcess, type TestProcess } from '../../test/helper.ts';

const start = async (t: Test, environment: Environment = {}): Promise<TestProcess> => {
  const variables = { DATABASE_URL: DOWN, SHUTDOWN_DELAY_MS: '0', ...environment };
  const web = await startProcess(t, { entry: 'fixture', environment: variables });
  const workers = Number(environment.WEB_CONCURRENCY ?? 1);
  await poll(() => web.lines.filter(({ msg }) => msg.startsWith('Server')).length === workers);
  return web;
};

/** Resolves at the first bytes; `rest` with all later ones. */
async function stream(url: string): Promise<{ rest: Promise<string> }> {
  const { body } = await fetch(url);
  const reader = body!.pipeThrough(new TextDecoderStream()).getReader();
  await reader.read();
  const readRest = async () => {
    let text = '';
    for (let part = await reader.read(); !part.done; part = await reader.read()) text += part.value;
    return text;
  };
  return { rest: readRest() };
}

/** Resolves when the socket is open; `rest` with the code of its close frame. */
async function openSocket(url: string): Promise<{ rest: Promise<number> }> {
  const socket = new WebSocket(url.replace('http:', 'ws:'));
  const closed = once(socket, 'close').then(([event]) => (event as CloseEvent).code);
  await once(socket, 'message');
  return { rest: closed };
}

/** Resolves when the request is being handled. */
async function ask(url: string, web: TestProcess): Promise<{ rest: Promise<string> }> {
  const rest = fetch(url).then((answer) => answer.text());
  await web.waitForLine('held until there is news');
  return { rest };
}

/** The end of each answer when the process stops. */
const ANSWERS = {
  events: { open: stream, rest: 'data: bye\n\n' },
  hijacked: { open: stream, rest: 'data: bye\n\n' },
  socket: { open: openSocket, rest: 1001 },
  'other-socket': { open: openSocket, rest: 1005 },
  poll: { open: ask, rest: '{"events":[]}' },
  download: { open: stream, rest: /39\n$/ },
} as const;

const KINDS = Object.keys(ANSWERS) as (keyof typeof ANSWERS)[];

test('contract 28: Open streams end complete when the port closes; exit code 0', async (t) => {
  const alone = KINDS.map((kind) => ({ kinds: [kind], workers: '1' }));
  const together = ['1', '2'].map((workers) => ({ kinds: KINDS, workers }));
  for (const { kinds, workers } of [...alone, ...together])
    await t.test(`${kinds.join(', ')} with WEB_CONCURRENCY=${workers}`, async (t) => {
      const web = await start(t, { WEB_CONCURRENCY: workers });
      const opened = await Promise.all(
        kinds.map((kind) => ANSWERS[kind].open(`${web.url}/long-lived/${kind}`, web)),
      );
      web.signal('SIGTERM');
      for (const [index, { rest }] of opened.entries())
        t.match(await rest, ANSWERS[kinds[index]!].rest, `${kinds[index]}`);
      t.equal(await web.exited, 0);
      t.strictSame(web.noise, []);
    });
});

test('A stream that ignores app.stopping is named at the time-out; exit code 1', async (t) => {
  const web = await start(t, { SHUTDOWN_TIMEOUT_MS: '1000' });
  const { rest } = await stream(`${web.url}/long-lived/ignoring?token=hunter2`);
  rest.catch(() => undefined);
  const { hostname, port } = new URL(web.url);
  const socket = connect(Number(port), hostname).on('error', () => undefined);
  t.teardown(() => socket.destroy());
  socket.write(
    [
      'GET /long-lived/other-socket?token=hunter2 HTTP/1.1',
      `Host: ${hostname}`,
      'Connection: upgrade',
      'Upgrade: websocket',
      'Sec-WebSocket-Version: 13',
      'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n',
    ].join('\r\n'),
  );
  await once(socket, 'data');
  web.signal('SIGTERM');
  t.equal(await web.exited, 1);
  t.match(web.lines.at(-1), {
    msg: /^Still open at SHUTDOWN_TIMEOUT_MS/,
    requests: [
      { method: 'GET', path: /^\/long-lived\/ignoring$/, ageMs: Number },
      { method: 'GET', path: /^\/long-lived\/other-socket$/, upgrade: 'websocket', ageMs: Number },
    ],
  });
});
