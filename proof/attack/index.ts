// Signals at every moment of the boot, readers that stand still, a full disk: bounded in time and memory
import type { Tally } from '../tally.ts';
import { proveLog } from './log.ts';
import { proveReaders } from './readers.ts';
import { proveSignals } from './signals.ts';

export async function prove(tally: Tally): Promise<void> {
  await proveReaders(tally);
  await proveLog(tally);
  await proveSignals(tally);
}
