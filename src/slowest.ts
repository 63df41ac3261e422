/** Somebody for whom bytes are held in memory. */
export interface Holder {
  held: number;
  /** How much of that waits for them. */
  waiting: number;
  /** When they last took or sent something, by performance.now(). */
  progressAt: number;
}

/**
 * Who has to go so that no more than `max` bytes are held: of those for whom at least the average
 * waits, first who stood still for longest.
 */
export function findSlowest<Some extends Holder>(holders: Some[], max: number): Some[] {
  let held = sum(holders.map((holder) => holder.held));
  const average = sum(holders.map(({ waiting }) => waiting)) / holders.length;
  const slowest = holders.filter(({ waiting }) => waiting >= average);
  const found: Some[] = [];
  for (const holder of slowest.sort((one, other) => one.progressAt - other.progressAt)) {
    if (held <= max) break;
    held -= holder.held;
    found.push(holder);
  }
  return found;
}

export function sum(numbers: number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}
