import { AsyncLocalStorage } from 'node:async_hooks';
import { writeSync } from 'node:fs';

/** The most that is kept for a slow reader, in bytes or characters. */
const MAX_WAITING = 4 * 1024 * 1024;

/** The pauses between attempts to write, in milliseconds: doubled while stdout takes nothing. */
const PAUSE_MS = 1;
const MAX_PAUSE_MS = 50;

const EXIT_WAIT_MS = 1_000;

const MAX_ON_STDERR = 16 * 1024;

/**
 * Writes lines to stdout, together after each turn of the event loop: a write for each line would
 * be a third of a request's cost. A pipe's slow reader or a full disk does not block the process:
 * lines wait, then new ones are dropped and counted. At exit, the end of what stdout does not take
 * goes to stderr. The last line is never dropped.
 */
export class Output {
  readonly #onLoss: (lost: number) => void;
  #lines = '';
  #waiting: Buffer = Buffer.alloc(0);
  #maxWaiting = MAX_WAITING;
  #isScheduled = false;
  #pauseMs = PAUSE_MS;
  #triedAt = 0;
  #lost = 0;
  /** The last lines that were dropped, if none was accepted after them. */
  #dropped = '';

  constructor(onLoss: (lost: number) => void) {
    // Not in the context of the request or job that wrote a line.
    this.#onLoss = AsyncLocalStorage.bind(onLoss);
    // Node makes pipes non-blocking when it opens these. Without a listener, a later console.log or
    // warning would end the process if the reader has gone.
    for (const stream of [process.stdout, process.stderr]) stream.on('error', () => undefined);
    process.on('exit', () => this.#end());
  }

  write(lines: string): void {
    // Code that never yields to the event loop may write this much.
    if (this.#isFull() && performance.now() - this.#triedAt > this.#pauseMs) this.#tryToWrite();
    if (this.#isFull()) {
      this.#lost += countLines(lines);
      this.#dropped = lines;
      return;
    }
    if (!this.#isScheduled) setImmediate(() => this.#flush());
    this.#isScheduled = true;
    this.#lines += lines;
    this.#dropped = '';
  }

  #flush(): void {
    this.#tryToWrite();
    this.#isScheduled = !this.#isEmpty();
    if (this.#isScheduled) setTimeout(() => this.#flush(), this.#pauseMs).unref();
    else this.#reportLoss();
  }

  #isFull(): boolean {
    return this.#lines.length + this.#waiting.length > this.#maxWaiting;
  }

  #isEmpty(): boolean {
    return this.#lines === '' && this.#waiting.length === 0;
  }

  #reportLoss(): void {
    if (this.#lost > 0) this.#onLoss(this.#lost);
    this.#lost = 0;
  }

  #tryToWrite(): void {
    this.#triedAt = performance.now();
    this.#pauseMs = Math.min(this.#pauseMs * 2, MAX_PAUSE_MS);
    try {
      while (!this.#isEmpty()) {
        if (this.#waiting.length === 0) this.#takeLines();
        const written = writeSync(process.stdout.fd, this.#waiting);
        this.#waiting = this.#waiting.subarray(written);
        this.#pauseMs = PAUSE_MS;
      }
    } catch {
      // The reader is slow or gone, or the disk is full: try again later.
    }
  }

  #takeLines(): void {
    this.#waiting = Buffer.concat([this.#waiting, Buffer.from(this.#lines)]);
    this.#lines = '';
  }

  #end(): void {
    const deadline = performance.now() + EXIT_WAIT_MS;
    this.#maxWaiting = Number.POSITIVE_INFINITY;
    const last = this.#dropped;
    this.#lost -= countLines(last);
    this.#reportLoss();
    this.#lines += last;
    this.#tryToWrite();
    while (!this.#isEmpty() && performance.now() < deadline) {
      sleep(this.#pauseMs);
      this.#tryToWrite();
    }
    if (this.#isEmpty()) return;
    this.#takeLines();
    try {
      writeSync(process.stderr.fd, this.#waiting.subarray(-MAX_ON_STDERR));
    } catch {
      // stderr has no reader either.
    }
  }
}

function countLines(lines: string): number {
  return lines.split('\n').length - 1;
}

/** Blocks the whole thread: there is no other way to wait at exit. */
function sleep(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}
