import { createHash, timingSafeEqual } from 'node:crypto';
import { matchesGlob } from 'node:path';
import type { FastifyInstance } from 'fastify';
import fp from 'fastify-plugin';
import { type Static, Type } from 'typebox';
import manifest from '../../../package.json' with { type: 'json' };
import { createAjv } from '../../../plugins/validation/ajv.ts';
import { NewNote } from '../../../routes/notes/schema.ts';
import { createNote, deleteNote, findNote, listNotes } from '../../../routes/notes/store.ts';

/** The most keys of one SCAN, as many as a page has over HTTP. COUNT is only a hint. */
const MAX_KEYS = 100;

/** An id that no note has. It stands for a key that is not a note's. */
const NIL = '00000000-0000-0000-0000-000000000000';

/** Globs that are matched fast: short, without alternatives, and with at most two stars. */
const PART = '(?:[\\w:?-]|\\[\\^?[\\w-]+\\])*';
const FAST_GLOB = new RegExp(`^(?=.{0,200}$)${PART}(?:\\*${PART}){0,2}$`);

const OK = { status: 'OK' };

const ajv = createAjv();

export const settings = Type.Object({
  REDIS_PASSWORD: Type.Optional(
    Type.String({
      secret: true,
      description: 'The password for AUTH and HELLO; no password is needed when not set',
    }),
  ),
});

type RedisSettings = Static<typeof settings>;

declare module '../../../plugins/env/index.ts' {
  interface Config extends RedisSettings {}
}

/** The state of one connection. */
export interface Session {
  address: string;
  protocol: 2 | 3;
  isTrusted: boolean;
  hasQuit: boolean;
}

export type Reply =
  | string
  | number
  | null
  | Error
  | { status: string }
  | Reply[]
  | Map<string, Reply>;

/** A client's mistake. Its message is the answer: a code and a sentence. */
class CommandError extends Error {}

/**
 * The arity of a command and its function. As in Redis, the arity includes the name, and is
 * negative if more arguments may follow.
 */
type Command = [arity: number, run: (args: string[], session: Session) => Reply | Promise<Reply>];

type Commands = Record<string, Command>;

declare module 'fastify' {
  interface FastifyInstance {
    /** Runs and logs one of Redis's commands. Never rejects. */
    runCommand(session: Session, name: string, args: string[]): Promise<Reply>;
  }
}

/**
 * Redis's commands for the notes. A note has the key note:<id> and is JSON. SET note creates a new
 * one.
 */
export default fp(
  async (app) => {
    const commands = listCommands(app);
    app.decorate('runCommand', async (session, name, args) => {
      const startedAt = performance.now();
      const reply = await run(commands, session, name, args).catch((error) => explain(app, error));
      const durationMs = Math.round((performance.now() - startedAt) * 10) / 10;
      // An unknown name is not logged, because it can be a password in the wrong place.
      app.log.info(
        {
          command: Object.hasOwn(commands, name) ? name : 'unknown',
          durationMs,
          address: session.address,
        },
        'command',
      );
      return reply;
    });
  },
  { name: 'commands', dependencies: ['database', 'readiness'] },
);

async function run(
  commands: Commands,
  session: Session,
  name: string,
  args: string[],
): Promise<Reply> {
  const [arity, run] = commands[name] ?? [];
  if (!session.isTrusted && !['AUTH', 'HELLO', 'QUIT'].includes(name))
    reject('NOAUTH Authentication required.');
  if (!arity || !run) return reject(`ERR unknown command '${name.slice(0, 64)}'`);
  if (arity > 0 ? args.length !== arity - 1 : args.length < -arity - 1)
    reject(`ERR wrong number of arguments for '${name.toLowerCase()}' command`);
  return run(args, session);
}

/** The client gets its own mistakes explained, but not errors of the app. */
function explain({ log }: FastifyInstance, err: Error): Error {
  if (err instanceof CommandError) return err;
  log.error({ err }, 'command failed');
  return new CommandError('ERR The command failed; try again later');
}

function reject(message: string): never {
  throw new CommandError(message);
}

function listCommands(app: FastifyInstance): Commands {
  const { db } = app;
  const commands: Commands = {
    AUTH: [-2, (names, session) => authenticate(app, session, names)],
    COMMAND: [-1, ([topic = '']) => describeCommands(commands, topic)],
    DBSIZE: [1, () => countNotes(app)],
    DEL: [-2, (keys) => count(keys, (id) => deleteNote(db, id))],
    EXISTS: [-2, (keys) => count(keys, async (id) => (await findNote(db, id)) !== undefined)],
    GET: [2, async ([key = '']) => JSON.stringify(await findNote(db, readId(key))) ?? null],
    HELLO: [-1, ([version, ...options], session) => greet(app, session, version, options)],
    INFO: [-1, () => describeServer(app)],
    PING: [-1, ([text]) => text ?? { status: 'PONG' }],
    QUIT: [1, (_none, session) => Object.assign(session, { hasQuit: true }) && OK],
    SCAN: [-2, ([cursor = '', ...options]) => scan(app, cursor, options)],
    SELECT: [2, ([index]) => (index === '0' ? OK : reject('ERR DB index is out of range'))],
    SET: [3, ([key = '', value = '']) => setNote(app, key, value)],
  };
  return commands;
}

/** AUTH [user] password */
function authenticate({ config }: FastifyInstance, session: Session, names: string[]): Reply {
  const password =
    config.REDIS_PASSWORD ?? reject('ERR AUTH is called, but no password is configured.');
  const [given = '', user = 'default'] = names.toReversed();
  // Digests have the same length, so comparing them takes the same time for every password.
  const digest = (text: string) => createHash('sha256').update(text).digest();
  const isRight = timingSafeEqual(digest(given), digest(password)) && user === 'default';
  if (!isRight) reject('WRONGPASS invalid username-password pair or user is disabled.');
  session.isTrusted = true;
  return OK;
}

/**
 * HELLO [version [AUTH user password] [SETNAME name]]. This answer and all later ones have that
 * version of the protocol.
 */
function greet(
  app: FastifyInstance,
  session: Session,
  version: string | undefined,
  options: string[],
): Reply {
  if (!['2', '3', undefined].includes(version)) reject('NOPROTO unsupported protocol version');
  while (options.length > 0) {
    const option = options.shift()!.toUpperCase();
    if (option === 'AUTH' && options.length >= 2) authenticate(app, session, options.splice(0, 2));
    else if (option === 'SETNAME' && options.length >= 1) options.shift();
    else reject('ERR Syntax error in HELLO');
  }
  if (!session.isTrusted) reject('NOAUTH HELLO must be called with AUTH <user> <password>.');
  if (version) session.protocol = version === '3' ? 3 : 2;
  const { name: server, version: release } = manifest;
  const answer = {
    server,
    version: release,
    proto: session.protocol,
    mode: 'standalone',
    role: 'master',
    modules: [],
  };
  return new Map<string, Reply>(Object.entries(answer));
}

/** Redis reports a server that is not ready as loading, so that clients wait. */
async function describeServer({ readiness }: FastifyInstance): Promise<string> {
  const { status } = await readiness.report();
  const loading = status === 'ready' || status === 'degraded' ? 0 : 1;
  return `# Server\r\nserver_name:${manifest.name}\r\n# Persistence\r\nloading:${loading}\r\nstatus:${status}\r\n`;
}

/** COMMAND, COMMAND COUNT */
function describeCommands(commands: Commands, topic: string): Reply {
  if (topic.toUpperCase() === 'COUNT') return Object.keys(commands).length;
  if (topic) reject('ERR unknown subcommand');
  return Object.entries(commands).map(([name, [arity]]) => [
    name.toLowerCase(),
    arity,
    [],
    0,
    0,
    0,
  ]);
}

function readId(key: string): string {
  return /^note:([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})$/i.exec(key)?.[1] ?? NIL;
}

async function count(keys: string[], holds: (id: string) => Promise<boolean>): Promise<number> {
  let sum = 0;
  for (const key of keys) if (await holds(readId(key))) sum += 1;
  return sum;
}

async function countNotes({ db }: FastifyInstance): Promise<number> {
  const query = db.selectFrom('notes').select(({ fn }) => fn.countAll().as('notes'));
  return Number((await query.executeTakeFirstOrThrow()).notes);
}

/** SET note JSON. The client cannot choose the key, because the app creates the id. */
async function setNote({ db }: FastifyInstance, key: string, value: string): Promise<Reply> {
  if (key !== 'note')
    reject('ERR SET note creates a note and answers its key; no other key can be set');
  const note = parseJson(value);
  if (!ajv.validate(NewNote, note))
    reject(`ERR note${ajv.errors?.[0]?.instancePath} ${ajv.errors?.[0]?.message}`);
  return `note:${(await createNote(db, note as NewNote)).id}`;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return reject('ERR the value is not JSON');
  }
}

/**
 * SCAN cursor [MATCH pattern] [COUNT count]. A cursor of Redis has 64 bits, so it is the first half
 * of the next note's UUID. Several notes can share that half. Then a page grows until it gets past
 * them: a key may come twice, but no key is missing.
 */
async function scan({ db }: FastifyInstance, cursor: string, options: string[]): Promise<Reply> {
  const { pattern, size } = readScanOptions(options);
  if (!/^\d{1,20}$/.test(cursor) || BigInt(cursor) >= 2n ** 64n) reject('ERR invalid cursor');
  const half = BigInt(cursor)
    .toString(16)
    .padStart(16, '0')
    .replace(/(.{8})(.{4})(.{4})/, '$1-$2-$3');
  for (let limit = size; ; limit *= 2) {
    const page = {
      limit: limit + 1,
      ...(cursor !== '0' && { after: `${half}-ffff-ffffffffffff` }),
    };
    const { items } = await listNotes(db, page);
    const next = BigInt(`0x${items[limit]?.id.replaceAll('-', '').slice(0, 16) ?? 0}`).toString();
    const keys = items.slice(0, limit).map(({ id }) => `note:${id}`);
    if (next === '0' || next !== cursor)
      return [next, keys.filter((key) => matchesGlob(key, pattern))];
  }
}

function readScanOptions([name, value, ...others]: string[]): { pattern: string; size: number } {
  if (name === undefined) return { pattern: '*', size: 10 };
  const options = readScanOptions(others);
  if (/^match$/i.test(name) && value !== undefined) {
    if (!FAST_GLOB.test(value))
      reject('ERR the pattern is too long, or has more than two stars, or other signs');
    return { ...options, pattern: value };
  }
  if (/^count$/i.test(name) && /^[1-9]\d*$/.test(value ?? ''))
    return { ...options, size: Math.min(Number(value), MAX_KEYS) };
  return reject('ERR syntax error');
}
