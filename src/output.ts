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
 * be a third of a request's cost. A reader that stops, or a full disk, does not block the process:
 * lines wait, then new ones are dropped and counted. At exit, what waits is written to stdout, or
 * the end of it to stderr.
 */
export class Output {
  readonly #onLoss: (lost: number) => void;
  #lines = '';
  #waiting: Buffer = Buffer.alloc(0);
  #pauseMs = PAUSE_MS;
  #lost = 0;

  /** @param onLoss called with the number of lost lines, when lines can be written again */
  constructor(onLoss: (lost: number) => void) {
    this.#onLoss = onLoss;
    // Node makes pipes non-blocking when it opens these. Otherwise a write waits for the reader.
    void [process.stdout, process.stderr];
    process.on('exit', () => this.#end());
  }

  write(lines: string): void {
    if (this.#lines.length + this.#waiting.length > MAX_WAITING) {
      this.#lost += lines.split('\n').length - 1;
      return;
    }
    if (this.#lines === '' && this.#waiting.length === 0) setImmediate(() => this.#flush());
    this.#lines += lines;
  }

  #flush(): void {
    const before = this.#waiting.length;
    if (this.#tryToWrite()) {
      this.#pauseMs = PAUSE_MS;
      if (this.#lost > 0) this.#onLoss(this.#lost);
      this.#lost = 0;
      return;
    }
    const isStuck = this.#waiting.length >= before;
    this.#pauseMs = isStuck ? Math.min(this.#pauseMs * 2, MAX_PAUSE_MS) : PAUSE_MS;
    setTimeout(() => this.#flush(), this.#pauseMs).unref();
  }

  #tryToWrite(): boolean {
    const lines = Buffer.from(this.#lines);
    this.#lines = '';
    this.#waiting = this.#waiting.length > 0 ? Buffer.concat([this.#waiting, lines]) : lines;
    try {
      while (this.#waiting.length > 0)
        this.#waiting = this.#waiting.subarray(writeSync(process.stdout.fd, this.#waiting));
    } catch {
      // The reader is slow or gone, or the disk is full: try again later.
    }
    return this.#waiting.length === 0;
  }

  #end(): void {
    const deadline = performance.now() + EXIT_WAIT_MS;
    while (!this.#tryToWrite() && performance.now() < deadline) sleep(MAX_PAUSE_MS);
    if (this.#waiting.length === 0) return;
    try {
      writeSync(process.stderr.fd, this.#waiting.subarray(-MAX_ON_STDERR));
    } catch {
      // stderr has no reader either.
    }
  }
}

/** Blocks the whole thread: there is no other way to wait at exit. */
function sleep(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}
