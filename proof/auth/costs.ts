import { Keys } from '../../plugins/auth/keys.ts';
import { verifyToken } from '../../plugins/auth/token.ts';
import { ALGORITHMS, AUDIENCE, type RealIssuer } from './issuer.ts';

/**
 * How many times a token is checked in a round; the best of the rounds counts on a busy machine.
 */
const CHECKS = 1_000;
const ROUNDS = 5;

/** @returns what checking a token costs by algorithm, for docs/performance.md */
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
