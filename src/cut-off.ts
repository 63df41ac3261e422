import type { OpenRequest } from './open-request.ts';

export const UNREAD = 'The client does not read its answer: it is cut off';

/** The progress of a client that sends requests before it has its answers: it is cut off first. */
export const NO_PROGRESS = 0;

/** A client's open requests, the bytes held for it in memory, and how many of them wait for it. */
export interface Client {
  open: OpenRequest[];
  held: number;
  waiting: number;
  /** When the client last read or sent something, by performance.now(). */
  progressAt: number;
}

/**
 * Cuts off clients until at most `max` bytes are held: the longest without progress first, and only
 * those without any progress, or with at least the average number of waiting bytes.
 */
export function cutOffSlowest(clients: Client[], max: number, reason: string): void {
  let held = sum(clients.map((client) => client.held));
  const average = sum(clients.map(({ waiting }) => waiting)) / clients.length;
  const slowest = clients
    .filter(({ waiting, progressAt }) => progressAt === NO_PROGRESS || waiting >= average)
    .sort((one, other) => one.progressAt - other.progressAt || other.held - one.held);
  for (const client of slowest) {
    if (held <= max) return;
    held -= client.held;
    cutOff(client.open, reason);
  }
}

/** Frees the memory now, because a connection closes only after this turn of the event loop. */
export function cutOff(entries: OpenRequest[], reason = UNREAD): void {
  for (const entry of entries) {
    const { socket } = entry;
    if (!socket.destroyed) entry.reply?.log.warn(reason);
    socket.destroy();
    Object.assign(entry, { payload: '', waiting: 0 });
  }
}

export function sum(numbers: number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}
