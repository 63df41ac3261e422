import { createReadStream } from 'node:fs';

/**
 * Creates a function that reads a file in pieces of 64 KiB. It opens the file once, however many
 * calls wait, and again only after a failure.
 */
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
