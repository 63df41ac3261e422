import { once } from 'node:events';
import net from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Answer, parseAnswers } from './answer.ts';

/** The bytes to send, at once or over time. */
export type Bytes = string | Buffer | AsyncIterable<string | Buffer>;

/** A raw connection to the app, of a client that follows no rules. */
export class Connection implements Disposable {
  readonly #socket: net.Socket;
  readonly #bodiless: boolean;
  #received = '';
  #changed = Promise.withResolvers<void>();

  private constructor(socket: net.Socket, bodiless: boolean) {
    this.#socket = socket;
    this.#bodiless = bodiless;
    // A reset also closes the connection, and earlier answers count.
    socket.on('error', () => {});
    socket.on('data', (data) => this.#receive(data.toString('latin1')));
    socket.on('close', () => this.#receive(''));
  }

  /** @param bodiless whether all requests are HEAD */
  static async open(port: number, bodiless = false): Promise<Connection> {
    const socket = net.connect({ port, host: '127.0.0.1', noDelay: true });
    const connection = new Connection(socket, bodiless);
    await once(socket, 'connect');
    return connection;
  }

  /** The complete answers so far. */
  get answers(): Answer[] {
    return parseAnswers(this.#received, this.#bodiless).answers;
  }

  /** The bytes after the last complete answer. */
  get rest(): string {
    return parseAnswers(this.#received, this.#bodiless).rest;
  }

  get isOpen(): boolean {
    return this.#socket.readable && this.#socket.writable;
  }

  /** Writes until all is written or the connection is closed. */
  async send(bytes: Bytes): Promise<void> {
    if (typeof bytes === 'string' || Buffer.isBuffer(bytes)) return this.#write(bytes);
    for await (const part of bytes) {
      if (!this.isOpen) return;
      this.#write(part);
    }
  }

  /** Half-closes the connection. */
  end(): void {
    this.#socket.end();
  }

  /** Stops reading, so that the app's answers pile up. */
  stopReading(): void {
    this.#socket.pause();
  }

  /** Resolves with whether this many answers, or the end, arrived in time. */
  async waitForAnswers(count: number, timeoutMs: number): Promise<boolean> {
    const late = sleep(timeoutMs, 'late', { ref: false });
    while (this.answers.length < count && !this.#socket.destroyed) {
      if ((await Promise.race([this.#changed.promise, late])) === 'late') return false;
    }
    return true;
  }

  /** Resolves with whether the connection was closed in time. */
  async waitForEnd(timeoutMs: number): Promise<boolean> {
    return this.waitForAnswers(Number.POSITIVE_INFINITY, timeoutMs);
  }

  [Symbol.dispose](): void {
    this.#socket.destroy();
  }

  #write(bytes: string | Buffer): void {
    if (this.isOpen) this.#socket.write(bytes);
  }

  #receive(text: string): void {
    this.#received += text;
    this.#changed.resolve();
    this.#changed = Promise.withResolvers();
  }
}
