import { Keys } from '../../plugins/auth/keys.ts';
import { verifyToken } from '../../plugins/auth/token.ts';
import { ALGORITHMS, AUDIENCE, type RealIssuer } from './issuer.ts';

/** The number of checks in a round. The best round counts, since machines are busy. */
const CHECKS = 1_000;
const ROUNDS = 5;

/** @returns the time to check a token, by algorithm, for docs/performance.md */
export async function measureCosts(issuer: RealIssuer): Promise<string> {
  const costs: string[] = [];
  for (const alg of ALGORITHMS) {
    const token = await issuer.ask(alg);
    const { d: _private, ...key } = issuer.findKey(alg);
    const keys = new Keys(async () => ({ keys: [key] }));
    const check = () => verifyToken(token, keys, { issuer: issuer.url, audience: AUDIENCE });
    const rounds: number[] = [];
    for (let round = 0; round < ROUNDS; round++) {
      const startedAt = performance.now();
      for (let count = 0; count < CHECKS; count++) await check();
      rounds.push(((performance.now() - startedAt) / CHECKS) * 1_000);
    }
    costs.push(`${alg} ${Math.round(Math.min(...rounds))}`);
  }
  return `${costs.join(', ')} microseconds`;
}
