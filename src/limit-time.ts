/** Rejects with `error` if the work takes longer than this, in milliseconds. */
export function limitTime<Result>(
  work: Promise<Result>,
  ms: number,
  error: Error,
): Promise<Result> {
  const { promise: late, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(reject, ms, error);
  return Promise.race([work, late]).finally(() => clearTimeout(timer));
}
