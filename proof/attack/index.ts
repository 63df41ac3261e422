// Hostile texts, secrets in errors, stopped readers, a full disk, signals while the app starts
import type { Tally } from '../tally.ts';
import { proveExpressions } from './expressions.ts';
import { proveLog } from './log.ts';
import { proveReaders } from './readers.ts';
import { proveSecrets } from './secrets.ts';
import { proveSignals } from './signals.ts';

export async function prove(tally: Tally): Promise<void> {
  await proveExpressions(tally);
  await proveSecrets(tally);
  await proveReaders(tally);
  await proveLog(tally);
  await proveSignals(tally);
}
