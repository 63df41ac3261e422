import type { IncomingHttpHeaders } from 'node:http';
import { errorCodes, type FastifyRequest } from 'fastify';
import { countReceived } from '../../src/held-memory.ts';

/**
 * Reads a body as Fastify's `parseAs: 'buffer'` does. But that keeps each chunk: one may have one
 * byte and takes 350 bytes of memory. So they are copied into one buffer, whose size doubles.
 */
export function readBody(
  { headers, raw, server }: FastifyRequest,
  payload: NodeJS.ReadableStream,
  bodyLimit: number,
  fail: (error: Error) => void,
  use: (body: Buffer) => void,
): void {
  const expected = Number(headers['content-length']) || 0;
  const isTooLarge = expected > bodyLimit;
  // Pages that are not written to take no memory.
  let buffer = Buffer.allocUnsafe(isTooLarge ? 0 : expected);
  let size = 0;
  const grow = (length: number) => {
    const larger = Buffer.allocUnsafe(Math.min(2 * length, bodyLimit));
    buffer.copy(larger, 0, 0, size);
    buffer = larger;
  };
  const read = (chunk: Buffer | string) => {
    // A preParsing hook of the owner may give text or a Uint8Array.
    const bytes = Buffer.isBuffer(chunk) ? chunk : Buffer.from(chunk);
    const length = size + bytes.length;
    if (length > bodyLimit) return end(new errorCodes.FST_ERR_CTP_BODY_TOO_LARGE());
    if (length > buffer.length) grow(length);
    bytes.copy(buffer, size);
    size = length;
    countReceived(server.openRequests, bytes.length);
  };
  const end = (error?: Error) => {
    payload.off('data', read).off('end', end).off('error', end);
    // The stream of a preParsing hook may still fail, which would end the process.
    if (payload !== raw) payload.on('error', () => undefined);
    if (error) fail(error);
    else use(buffer.subarray(0, size));
  };
  if (isTooLarge) end(new errorCodes.FST_ERR_CTP_BODY_TOO_LARGE());
  // A preParsing hook may give a paused stream.
  else payload.on('data', read).on('end', end).on('error', end).resume();
}

/** A chunked body may still be empty. */
export function mayHaveBody(headers: IncomingHttpHeaders): boolean {
  return headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0;
}
