import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { toError } from './error-log.ts';

/** How long a file may take to load, in milliseconds. Less than avvio's limit, which names none. */
const LOAD_TIMEOUT_MS = 50_000;

/** Imports a file. The error names the file: that of a syntax error does not. */
export async function importFile(file: URL, timeoutMs = LOAD_TIMEOUT_MS) {
  try {
    return await Promise.race([import(file.href), rejectLate(timeoutMs)]);
  } catch (cause) {
    const { message } = toError(cause);
    throw new Error(`${fileURLToPath(file)} cannot be loaded: ${message}`, { cause });
  }
}

async function rejectLate(timeoutMs: number): Promise<never> {
  await sleep(timeoutMs, undefined, { ref: false });
  throw new Error('an await at its top level does not end');
}
