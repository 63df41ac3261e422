/** How deep JSON may be nested. A MiB of deeper arrays would block the process for 0.3 s. */
export const MAX_DEPTH = 1_000;

/** How many pieces JSON may arrive in. Each may have one byte, and takes 350 bytes of memory. */
const MAX_PIECES = 20_000;

const [QUOTE, BACKSLASH, LIST, LIST_END, OBJECT, OBJECT_END] = Buffer.from('"\\[]{}');

/** Whether JSON is nested deeper than MAX_DEPTH. The time is linear: about 3 ms for a MiB. */
export function isTooDeep(json: Buffer): boolean {
  if (json.length <= MAX_DEPTH) return false;
  let depth = 0;
  let isText = false;
  for (let index = 0; index < json.length && depth <= MAX_DEPTH; index++) {
    const byte = json[index];
    if (byte === QUOTE) isText = !isText;
    else if (byte === BACKSLASH) index += 1;
    else if (!isText && (byte === LIST || byte === OBJECT)) depth += 1;
    else if (!isText && (byte === LIST_END || byte === OBJECT_END)) depth -= 1;
  }
  return depth > MAX_DEPTH;
}

/** Reads JSON of another service. Throws an error that starts with `what` if it is over a limit. */
export async function readJson(
  what: string,
  body: AsyncIterable<Uint8Array>,
  maxBytes: number,
): Promise<unknown> {
  const pieces: Uint8Array[] = [];
  let length = 0;
  for await (const piece of body) {
    length += piece.length;
    if (length > maxBytes) throw new Error(`${what} is longer than ${maxBytes} bytes`);
    if (pieces.push(piece) > MAX_PIECES)
      throw new Error(`${what} has more than ${MAX_PIECES} pieces`);
  }
  const json = Buffer.concat(pieces);
  if (isTooDeep(json)) throw new Error(`${what} has more than ${MAX_DEPTH} levels`);
  // TextDecoder drops a byte order mark.
  return JSON.parse(new TextDecoder().decode(json));
}
