import type { Socket } from 'node:net';
import type { Client } from '@xmpp/client';
import { component, xml } from '@xmpp/component';
import type { FastifyInstance } from 'fastify';
import fp from 'fastify-plugin';
import { type Static, type TSchema, Type } from 'typebox';
import manifest from '../../../package.json' with { type: 'json' };
import { createAjv } from '../../../plugins/validation/ajv.ts';
import { NewNote, NoteId } from '../../../routes/notes/schema.ts';
import { createNote, deleteNote, findNote, listNotes } from '../../../routes/notes/store.ts';

const INFO = 'http://jabber.org/protocol/disco#info';
const ITEMS = 'http://jabber.org/protocol/disco#items';
const PING = 'urn:xmpp:ping';

const ajv = createAjv();

/** How long the server may be silent before TCP sends a keep-alive probe, in milliseconds. */
const KEEP_ALIVE_MS = 10_000;

/** How long the server may take to let the app join, in milliseconds. Then the app tries again. */
const JOIN_TIMEOUT_MS = 10_000;

/** Characters that XML 1.0 cannot contain (2.2). The server would end the stream. */
const INVALID_IN_XML = /[^\t\n\r\u{20}-\u{d7ff}\u{e000}-\u{fffd}\u{10000}-\u{10ffff}]/gu;

export const settings = Type.Object({
  XMPP_URL: Type.Optional(
    Type.String({
      format: 'uri',
      pattern: '^xmpp://[^:@/?#]+:[^:@/?#]+@[^@/?#]+$',
      secret: true,
      description: 'The XMPP server that the app joins as a component; not attached when not set',
      expected: 'an xmpp://component.host:secret@host:port URL, special characters percent-encoded',
      remedy:
        "Take the component's host and secret from the server's configuration, or leave XMPP_URL out",
    }),
  ),
});

type XmppSettings = Static<typeof settings>;

declare module '../../../plugins/env/index.ts' {
  interface Config extends XmppSettings {}
}

/**
 * The app as a component (XEP-0114) of the XMPP server at XMPP_URL. All users of that server can
 * chat with it.
 */
export default fp(
  async (app) => {
    if (!app.config.XMPP_URL) return;
    const { username, password, host } = new URL(app.config.XMPP_URL);
    const domain = decodeURIComponent(username);
    const xmpp = component({
      service: `xmpp://${host}`,
      domain,
      password: decodeURIComponent(password),
    });
    const answers = answerMessages(app, xmpp);
    answerQueries(xmpp);
    app.readiness.attach({
      name: 'xmpp',
      required: false,
      check: watchConnection(app, xmpp, domain),
    });
    // start() keeps a promise that ends the process if the server is silent, then goes away.
    app.addHook('onListen', async () => void xmpp.reconnect.reconnect().catch(() => undefined));
    app.addHook('onClose', async () => {
      await Promise.all(answers.values());
      xmpp.reconnect.stop();
      xmpp.removeAllListeners('disconnect');
      await xmpp.stop();
    });
  },
  { name: 'xmpp', dependencies: ['database', 'readiness'] },
);

/**
 * Logs when the server goes and comes. The library reconnects by itself.
 *
 * @returns the check for readiness
 */
function watchConnection(
  { log }: FastifyInstance,
  xmpp: Client,
  domain: string,
): () => Promise<void> {
  let failure: Error | undefined = new Error('Not connected yet');
  let isAway = false;
  let joining: NodeJS.Timeout | undefined;
  const lose = (err: Error) => {
    if (!isAway) log.warn({ err }, 'XMPP is away: trying again until it answers');
    isAway = true;
    failure = err;
  };
  xmpp.on('connect', () => {
    const socket = xmpp.socket as Socket;
    prepareSocket(socket);
    // The library tries again when a connection ends, but waits forever for a silent server.
    joining = setTimeout(() => socket.destroy(), JOIN_TIMEOUT_MS);
    socket.once('close', () => clearTimeout(joining));
  });
  xmpp.on('error', lose);
  xmpp.on('disconnect', () => isAway || lose(new Error('The connection ended')));
  xmpp.on('online', () => {
    clearTimeout(joining);
    log.info(`Joined XMPP as ${domain}`);
    isAway = false;
    failure = undefined;
  });
  return async () => {
    if (failure) throw failure;
  };
}

function prepareSocket(socket: Socket): void {
  // The library decodes each packet alone. That breaks a character that is split over two packets.
  socket.setEncoding('utf8');
  // The server may be silent for days. Probes notice a machine that is gone.
  socket.setKeepAlive(true, KEEP_ALIVE_MS);
}

/** Answers the queries of chat programs: service discovery (XEP-0030) and pings (XEP-0199). */
function answerQueries({ iqCallee }: Client): void {
  const identity = xml('identity', { category: 'client', type: 'bot', name: manifest.name });
  const features = [INFO, ITEMS, PING].map((name) => xml('feature', { var: name }));
  iqCallee.get(INFO, 'query', () => xml('query', INFO, identity, ...features));
  iqCallee.get(ITEMS, 'query', () => xml('query', ITEMS));
  iqCallee.get(PING, 'ping', () => true);
}

/**
 * Answers messages, those of each user in their order.
 *
 * @returns the open answers, by user
 */
function answerMessages(app: FastifyInstance, xmpp: Client): Map<string, Promise<unknown>> {
  const answers = new Map<string, Promise<unknown>>();
  xmpp.on('stanza', (stanza) => {
    const { from = '', to, type } = stanza.attrs;
    const text = stanza.is('message') ? stanza.getChildText('body') : null;
    if (!text || type === 'error' || type === 'groupchat') return;
    const answer = async () => {
      const body = (await runCommand(app, text)).replaceAll(INVALID_IN_XML, '\ufffd');
      await xmpp.send(xml('message', { from: to, to: from, type }, xml('body', {}, body)));
    };
    const answered = (answers.get(from) ?? Promise.resolve())
      .then(answer)
      .catch((err) => app.log.error({ err }, 'A message was not answered'))
      .finally(() => answers.get(from) === answered && answers.delete(from));
    answers.set(from, answered);
  });
  return answers;
}

type Command = (app: FastifyInstance, argument: string) => Promise<string>;

const COMMANDS = new Map<string, Command>([
  ['list', listTitles],
  ['add', addNote],
  ['show', showNote],
  ['delete', removeNote],
]);

async function runCommand(app: FastifyInstance, text: string): Promise<string> {
  const startedAt = performance.now();
  const [, word = '', argument = ''] = /^(\S*)\s*(.*)$/s.exec(text.trim()) ?? [];
  const name = word.toLowerCase();
  const run: Command =
    COMMANDS.get(name) ?? (async () => 'Say list, add TITLE, show ID or delete ID.');
  const answer = await run(app, argument).catch((err) => {
    app.log.error({ err }, 'A command failed');
    return 'That failed. Try again later.';
  });
  const durationMs = Math.round((performance.now() - startedAt) * 10) / 10;
  app.log.info({ command: COMMANDS.has(name) ? name : 'help', durationMs }, 'message');
  return answer;
}

async function listTitles({ db }: FastifyInstance): Promise<string> {
  const { items, next } = await listNotes(db, {});
  const lines = items.map(({ id, title }) => `${id} ${title}`);
  if (next) lines.push('There are older ones.');
  return lines.join('\n') || 'There are no notes.';
}

async function addNote(app: FastifyInstance, title: string): Promise<string> {
  const problem = findProblem(NewNote, { title });
  return problem ?? `Added ${(await createNote(app.db, { title })).id}`;
}

async function showNote(app: FastifyInstance, id: string): Promise<string> {
  const note = findProblem(NoteId, { id }) ? undefined : await findNote(app.db, id);
  return note ? `${note.title}\n${note.body}`.trim() : `Note ${id} does not exist.`;
}

async function removeNote(app: FastifyInstance, id: string): Promise<string> {
  const isDeleted = !findProblem(NoteId, { id }) && (await deleteNote(app.db, id));
  return isDeleted ? `Deleted ${id}` : `Note ${id} does not exist.`;
}

function findProblem(schema: TSchema, value: object): string | undefined {
  if (ajv.validate(schema, value)) return undefined;
  const [error] = ajv.errors ?? [];
  return `The ${error?.instancePath.slice(1)} ${error?.message}.`;
}
