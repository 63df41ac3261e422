/** Whether a check that throws for a wrong value accepts it. */
export function succeeds(check: () => unknown): boolean {
  try {
    check();
    return true;
  } catch {
    return false;
  }
}
