import { errorCodes, type FastifyRequest } from 'fastify';

/** A chunk may have one byte, and each takes 350 bytes of memory. So this many are joined. */
const MAX_CHUNKS = 1_000;

/**
 * Reads a body as Fastify's `parseAs: 'buffer'` does. But that keeps each chunk, so that a body of
 * 1 MiB could take 350 MB.
 */
export function readBody(
  { headers, raw, routeOptions: { bodyLimit } }: FastifyRequest,
  payload: NodeJS.ReadableStream,
  fail: (error: Error) => void,
  use: (body: Buffer) => void,
): void {
  let chunks: Buffer[] = [];
  let size = 0;
  const read = (chunk: Buffer | string) => {
    // A preParsing hook of the owner may give text.
    const bytes = Buffer.from(chunk as string);
    size += bytes.length;
    chunks.push(bytes);
    if (size > bodyLimit) return end(new errorCodes.FST_ERR_CTP_BODY_TOO_LARGE());
    if (chunks.length > MAX_CHUNKS) chunks = [Buffer.concat(chunks)];
  };
  const end = (error?: Error) => {
    payload.off('data', read).off('end', end).off('error', end);
    // The stream of a preParsing hook may still fail, which would end the process.
    if (payload !== raw) payload.on('error', () => undefined);
    if (error) fail(error);
    else use(Buffer.concat(chunks));
  };
  if (Number(headers['content-length']) > bodyLimit)
    end(new errorCodes.FST_ERR_CTP_BODY_TOO_LARGE());
  // A preParsing hook may give a paused stream.
  else payload.on('data', read).on('end', end).on('error', end).resume();
}
