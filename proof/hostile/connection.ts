import { once } from 'node:events';
import net from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Answer, parseAnswers } from './answer.ts';

/** What is written to a connection: at once, or as it comes. */
export type Bytes = string | Buffer | AsyncIterable<string | Buffer>;

/** A raw connection to the app, as a client has it that does not keep to any rule. */
export class Connection implements Disposable {
  readonly #socket: net.Socket;
  readonly #bodiless: boolean;
  #received = '';
  #changed = Promise.withResolvers<void>();

  private constructor(socket: net.Socket, bodiless: boolean) {
    this.#socket = socket;
    this.#bodiless = bodiless;
    // A reset is a way to close, and what came before it counts.
    socket.on('error', () => {});
    socket.on('data', (data) => this.#receive(data.toString('latin1')));
    socket.on('close', () => this.#receive(''));
  }

  /** @param bodiless whether HEAD will be asked */
  static async open(port: number, bodiless = false): Promise<Connection> {
    const socket = net.connect({ port, host: '127.0.0.1', noDelay: true });
    const connection = new Connection(socket, bodiless);
    await once(socket, 'connect');
    return connection;
  }

  /** Whole answers so far. */
  get answers(): Answer[] {
    return parseAnswers(this.#received, this.#bodiless).answers;
  }

  /** What came after the last whole answer. */
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

  /** Says that nothing more will be sent. */
  end(): void {
    this.#socket.end();
  }

  /** Reads nothing from now on: what the app sends piles up. */
  stopReading(): void {
    this.#socket.pause();
  }

  /** Resolves with whether this many answers, or the end, came within the time. */
  async waitForAnswers(count: number, timeoutMs: number): Promise<boolean> {
    const late = sleep(timeoutMs, 'late', { ref: false });
    while (this.answers.length < count && !this.#socket.destroyed) {
      if ((await Promise.race([this.#changed.promise, late])) === 'late') return false;
    }
    return true;
  }

  /** Resolves with whether it was closed within the time. */
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
