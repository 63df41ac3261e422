import { isUtf8 } from 'node:buffer';
import { once } from 'node:events';
import net from 'node:net';
import { Decoder } from '@redis/client/dist/lib/RESP/decoder.js';
import type { FastifyInstance } from 'fastify';
import { readAddress } from '../../src/client-address.ts';
import { type Listener, startProcess } from '../../src/process.ts';
import type { Reply, Session } from './plugins/commands.ts';

/** The longest command, in bytes. Every note fits, even with all its characters escaped. */
const MAX_BYTES = 64 * 1024;

/** The most parts of a command, its name included. */
const MAX_PARTS = 1_000;

/** How long a client may take to disconnect after its last answer, in milliseconds. */
const LINGER_MS = 500;

/** The first byte of a command that a program sends. */
const ASTERISK = 0x2a;

/**
 * A word of a typed command: in double quotes, in single quotes, or bare. Each follows the one
 * before, so that a quote without an end is searched for only once.
 */
const WORD = /\s*(?:"((?:\\.|[^"\\])*)"|'((?:\\'|[^'])*)'|([^\s"']+))/gy;

/** Listens on the app's port for the Redis protocol, RESP2 and RESP3. */
function openRedisListener(app: FastifyInstance): Listener {
  const connections = new Set<Connection>();
  const server = net.createServer({ allowHalfOpen: true, noDelay: true }, async (socket) => {
    const connection = new Connection(app, socket);
    connections.add(connection);
    await connection.serve().catch((err) => app.log.debug({ err }, 'A connection broke'));
    connections.delete(connection);
  });
  return {
    async listen(address) {
      await once(server.listen(address), 'listening');
      const { address: host, port } = server.address() as net.AddressInfo;
      app.log.info(`Server listening at redis://${net.isIPv6(host) ? `[${host}]` : host}:${port}`);
    },
    // The protocol cannot announce it. A client notices the end of its connection and reconnects.
    announceClose() {},
    async close() {
      const closed = once(server, 'close');
      server.close();
      for (const connection of connections) connection.close();
      await closed;
      await app.close();
    },
    openRequests: () => [...connections].flatMap(({ running }) => running ?? []),
  };
}

class Connection {
  /** The command that is running. */
  running: { command: string; since: Date } | undefined;
  readonly #app: FastifyInstance;
  readonly #socket: net.Socket;
  readonly #session: Session;
  #received = Buffer.alloc(0);
  #closing = false;

  constructor(app: FastifyInstance, socket: net.Socket) {
    this.#app = app;
    this.#socket = socket.on('error', (err) => app.log.debug({ err }, 'A connection broke'));
    const isTrusted = !app.config.REDIS_PASSWORD;
    this.#session = {
      address: readAddress({ ip: '', socket }),
      protocol: 2,
      isTrusted,
      hasQuit: false,
    };
  }

  /** Answers commands one by one, and does not read faster than it answers. */
  async serve(): Promise<void> {
    for await (const chunk of this.#socket) {
      if (this.#socket.writableEnded) continue;
      this.#received = Buffer.concat([this.#received, chunk]);
      await this.#answerAll().catch((error) => this.#refuse(error));
      this.running = undefined;
      if (this.#closing || this.#session.hasQuit) this.#hangUp();
    }
    this.#hangUp();
  }

  /** Answers the commands that have arrived, and none that arrive later. */
  close(): void {
    this.#closing = true;
    if (!this.running) this.#hangUp();
  }

  async #answerAll(): Promise<void> {
    for (
      let size = measureCommand(this.#received);
      size > 0;
      size = measureCommand(this.#received)
    ) {
      const [name = '', ...args] = readCommand(this.#received.subarray(0, size));
      this.#received = this.#received.subarray(size);
      // A web page can send HTTP to this port, with commands in the body. Redis refuses it too.
      if (/^(post|host:)$/i.test(name)) throw new Error('this is HTTP');
      if (name && this.#socket.writable && !this.#session.hasQuit)
        await this.#answer(name.toUpperCase(), args);
    }
  }

  async #answer(command: string, args: string[]): Promise<void> {
    this.running = { command, since: new Date() };
    const reply = await this.#app.runCommand(this.#session, command, args);
    const written = new Promise((resolve) =>
      this.#socket.write(encode(reply, this.#session.protocol), resolve),
    );
    // The client sends faster than it reads, so wait for it.
    if (this.#socket.writableNeedDrain) await written;
  }

  /** Ends the connection: after an invalid command, the start of the next one is unknown. */
  #refuse(error: Error): void {
    this.#session.hasQuit = true;
    this.#socket.write(encode(new Error(`ERR Protocol error: ${error.message}`), 2));
  }

  /**
   * Sends the remaining answers, then waits for the client to disconnect. Commands that still
   * arrive are read but not answered.
   */
  #hangUp(): void {
    this.#socket.end(() => setTimeout(() => this.#socket.destroy(), LINGER_MS).unref());
  }
}

/**
 * Returns the size of the first command in bytes, or 0 while it is not complete. The decoder is
 * made for the answers of a Redis server and trusts every length. So a client's lengths are checked
 * here.
 */
function measureCommand(bytes: Buffer): number {
  let end = bytes.indexOf('\n') + 1;
  const parts =
    end > 0 && bytes[0] === ASTERISK
      ? readLength('*', bytes.toString('latin1', 0, end), MAX_PARTS)
      : 0;
  for (let part = 0; part < parts && end > 0 && end <= bytes.length; part += 1) {
    const start = end;
    end = bytes.indexOf('\n', start) + 1;
    if (end > 0) end += readLength('$', bytes.toString('latin1', start, end), MAX_BYTES) + 2;
  }
  const isWhole = end > 0 && end <= bytes.length;
  if (end > MAX_BYTES || (!isWhole && bytes.length > MAX_BYTES)) throw new Error('command too big');
  return isWhole ? end : 0;
}

function readLength(type: '*' | '$', line: string, most: number): number {
  const length =
    line.startsWith(type) && /^.\d{1,9}\r\n$/.test(line) ? Number.parseInt(line.slice(1), 10) : -1;
  if (length < 0 || length > most)
    throw new Error(type === '*' ? 'invalid multibulk length' : 'invalid bulk length');
  return length;
}

function readCommand(bytes: Buffer): string[] {
  if (!isUtf8(bytes)) throw new Error('not UTF-8');
  if (bytes[0] !== ASTERISK) return splitWords(bytes.toString());
  let parts: string[] = [];
  const ignore = () => undefined;
  const onReply = (reply: string[]) => {
    parts = reply;
  };
  new Decoder({ onReply, onErrorReply: ignore, onPush: ignore, getTypeMapping: () => ({}) }).write(
    bytes,
  );
  return parts;
}

function splitWords(line: string): string[] {
  if (/["']/.test(line.replaceAll(WORD, ''))) throw new Error('unbalanced quotes in request');
  return [...line.matchAll(WORD)].map(([, double, single, bare]) => {
    return double?.replaceAll(/\\(.)/g, '$1') ?? single?.replaceAll("\\'", "'") ?? bare ?? '';
  });
}

/** Version 2 of the protocol has no type for maps and none for null. */
function encode(reply: Reply, protocol: Session['protocol']): string {
  if (reply instanceof Error) return `-${reply.message.replaceAll(/[\r\n]/g, ' ')}\r\n`;
  if (reply === null) return protocol === 3 ? '_\r\n' : '$-1\r\n';
  if (typeof reply === 'number') return `:${reply}\r\n`;
  if (typeof reply === 'string') return `$${Buffer.byteLength(reply)}\r\n${reply}\r\n`;
  if ('status' in reply) return `+${reply.status}\r\n`;
  const parts = reply instanceof Map ? [...reply].flat() : reply;
  const head = reply instanceof Map && protocol === 3 ? `%${reply.size}` : `*${parts.length}`;
  return `${head}\r\n${parts.map((part) => encode(part, protocol)).join('')}`;
}

await startProcess(openRedisListener, {
  plugins: [new URL('../../plugins/', import.meta.url), new URL('plugins/', import.meta.url)],
  routes: [],
});
