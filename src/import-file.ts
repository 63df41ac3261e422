import { fileURLToPath } from 'node:url';
import { toError } from './error-log.ts';
import { limitTime } from './limit-time.ts';

/** How long a file may take to load, in milliseconds. Less than avvio's limit, which names none. */
const LOAD_TIMEOUT_MS = 50_000;

/** Imports a file. The error names the file: that of a syntax error does not. */
export async function importFile(file: URL, timeoutMs = LOAD_TIMEOUT_MS) {
  const reason = `it takes more than ${timeoutMs} ms, so an await at its top level may never end`;
  return limitTime(import(file.href), timeoutMs, new Error(reason)).catch((cause) => {
    const { message, stack } = toError(cause);
    // The place of a syntax error in TypeScript, which may be in another file.
    const [place = ''] = /^file:.*:\d+$/m.exec(`${stack}`) ?? [];
    const reason = message.includes(place) ? message : `${message} at ${place}`;
    throw new Error(`${fileURLToPath(file)} cannot be loaded: ${reason}`, { cause });
  });
}
