import { fileURLToPath } from 'node:url';
import { toError } from './error-log.ts';

/** Imports a file. The error names the file: that of a syntax error does not. */
export async function importFile(file: URL) {
  try {
    return await import(file.href);
  } catch (cause) {
    const { message } = toError(cause);
    throw new Error(`${fileURLToPath(file)} cannot be loaded: ${message}`, { cause });
  }
}
