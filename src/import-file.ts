import { fileURLToPath } from 'node:url';
import { toError } from './error-log.ts';
import { limitTime } from './limit-time.ts';

/** How long a file may take to load, in milliseconds. Less than avvio's limit, which names none. */
const LOAD_TIMEOUT_MS = 50_000;

/** Imports a file. The error names the file: that of a syntax error does not. */
export async function importFile(file: URL, timeoutMs = LOAD_TIMEOUT_MS) {
  const reason = `it takes more than ${timeoutMs} ms, so an await at its top level may never end`;
  return limitTime(import(file.href), timeoutMs, new Error(reason)).catch((cause) => {
    const error = toError(cause);
    const reason = `${error.message}${locate(error)}`;
    throw new Error(`${fileURLToPath(file)} cannot be loaded: ${reason}`, { cause });
  });
}

/** The place of a syntax error, which may be in another file. JavaScript's parser gives none. */
function locate({ name, message, stack }: Error): string {
  const [place] = /^file:.*:\d+$/m.exec(`${stack}`) ?? [];
  if (place) return message.includes(place) ? '' : ` at ${place}`;
  const hint = ', in this file or one that it imports: npm run typecheck says where';
  return name === 'SyntaxError' ? hint : '';
}
