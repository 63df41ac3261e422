// Signals at every moment of the boot, stopped readers, a full disk, secrets in errors: bounded,
// and not logged
import type { Tally } from '../tally.ts';
import { proveLog } from './log.ts';
import { proveReaders } from './readers.ts';
import { proveSecrets } from './secrets.ts';
import { proveSignals } from './signals.ts';

export async function prove(tally: Tally): Promise<void> {
  await proveSecrets(tally);
  await proveReaders(tally);
  await proveLog(tally);
  await proveSignals(tally);
}
