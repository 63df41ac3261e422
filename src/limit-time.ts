/** Resolves as `work` does. Rejects with `error` if that takes longer than `ms` milliseconds. */
export function limitTime<T>(work: Promise<T>, ms: number, error: Error): Promise<T> {
  const { promise: late, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(reject, ms, error);
  return Promise.race([work, late]).finally(() => clearTimeout(timer));
}
