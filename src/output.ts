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
    if (this.#isEmpty()) setImmediate(() => this.#flush());
    this.#lines += lines;
  }

  #flush(): void {
    const written = this.#tryToWrite();
    if (this.#isEmpty()) {
      this.#pauseMs = PAUSE_MS;
      if (this.#lost > 0) this.#onLoss(this.#lost);
      this.#lost = 0;
      return;
    }
    this.#pauseMs = written > 0 ? PAUSE_MS : Math.min(this.#pauseMs * 2, MAX_PAUSE_MS);
    setTimeout(() => this.#flush(), this.#pauseMs).unref();
  }

  #isEmpty(): boolean {
    return this.#lines === '' && this.#waiting.length === 0;
  }

  /** @returns the number of written bytes */
  #tryToWrite(): number {
    let written = 0;
    try {
      while (!this.#isEmpty()) {
        if (this.#waiting.length === 0) this.#takeLines();
        const length = writeSync(process.stdout.fd, this.#waiting);
        this.#waiting = this.#waiting.subarray(length);
        written += length;
      }
    } catch {
      // The reader is slow or gone, or the disk is full: try again later.
    }
    return written;
  }

  #takeLines(): void {
    this.#waiting = Buffer.concat([this.#waiting, Buffer.from(this.#lines)]);
    this.#lines = '';
  }

  #end(): void {
    const deadline = performance.now() + EXIT_WAIT_MS;
    this.#tryToWrite();
    while (!this.#isEmpty() && performance.now() < deadline) {
      sleep(MAX_PAUSE_MS);
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

/** Blocks the whole thread: there is no other way to wait at exit. */
function sleep(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}
