import type { Pool } from 'pg';

/** Counts the connections in use, and notes when one of them came back with an answer. */
export function watchUse(pool: Pool | undefined): { connections: number; answeredAt: number } {
  const use = { connections: 0, answeredAt: Number.NEGATIVE_INFINITY };
  pool?.on('acquire', () => void use.connections++);
  pool?.on('release', (error, client) => {
    use.connections--;
    const brokenBy = Reflect.get(Object(client), 'brokenBy');
    if (!error && !brokenBy) use.answeredAt = performance.now();
  });
  return use;
}

export function isFull({ idleCount, totalCount, options }: Pool): boolean {
  return idleCount === 0 && totalCount >= options.max;
}
