/** Counts passed and failed checks, and prints each result at once. */
export class Tally {
  #passed = 0;
  #failed = 0;

  /**
   * Passes if `run` resolves, and prints the resolved value as a remark; fails with the error's
   * message.
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

  /** Prints the totals; the exit code is 1 if a check failed. */
  close(): void {
    console.log(`\n${this.#passed} passed, ${this.#failed} failed`);
    if (this.#failed > 0) process.exitCode = 1;
  }
}

/** A failed assertion is explained by its message, any other error by its stack. */
function describe(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.name === 'AssertionError' ? error.message : (error.stack ?? error.message);
}
