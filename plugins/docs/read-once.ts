import { createReadStream } from 'node:fs';

/** Reads a file once, in pieces of 64 KiB. A stream for each request could use all descriptors. */
export function readOnce(file: URL): () => Promise<Buffer[]> {
  let pieces: Promise<Buffer[]> | undefined;
  return () => {
    pieces ??= createReadStream(file)
      .toArray()
      .catch((error) => {
        pieces = undefined;
        throw error;
      });
    return pieces;
  };
}
