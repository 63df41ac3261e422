/** A client, and the bytes that are held for it in memory. */
export interface Holder {
  held: number;
  /** How many of these bytes wait for the client. */
  waiting: number;
  /** When the client last read or sent something, by performance.now(). */
  progressAt: number;
}

/**
 * Finds the clients to cut off so that at most `max` bytes are held. Only clients with at least the
 * average number of waiting bytes are chosen, the longest without progress first.
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
