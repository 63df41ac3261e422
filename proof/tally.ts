/** Counts what holds and what does not, and says each as soon as it is known. */
export class Tally {
  #passed = 0;
  #failed = 0;

  /**
   * Passes when `run` resolves, with what it resolves with as a remark; fails with the message of
   * what it throws.
   */
  async check(name: string, run: () => unknown): Promise<void> {
    try {
      const remark = await run();
      this.#passed += 1;
      console.log(`ok      ${name}${remark === undefined ? '' : `: ${remark}`}`);
    } catch (error) {
      this.#failed += 1;
      console.log(`FAILED  ${name}: ${describe(error)}`);
    }
  }

  /** Prints the sums and lets the process end with 1 where anything failed. */
  close(): void {
    console.log(`\n${this.#passed} passed, ${this.#failed} failed`);
    if (this.#failed > 0) process.exitCode = 1;
  }
}

/** A failed assertion says it in its message; where anything else comes from, its stack tells. */
function describe(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.name === 'AssertionError' ? error.message : (error.stack ?? error.message);
}
