import { type DestinationStream, type Logger, pino } from 'pino';
import manifest from '../package.json' with { type: 'json' };
import { serializeError } from './error-log.ts';
import { Output } from './output.ts';
import { hideSecretsInLine } from './redaction.ts';

/** Takes complete lines of the log, such as those of a worker. */
export const output = new Output((lost) =>
  createLogger().warn({ lost }, 'Lines of the log were lost: stdout did not take them in time'),
);

const readers = new Set<() => object | undefined>();

/** Adds fields to every line, such as trace ids, until the returned function is called. */
export function addLogFields(read: () => object | undefined): () => void {
  // A function of its own: two apps of one process may add the same `read`.
  const reader = () => read();
  readers.add(reader);
  return () => readers.delete(reader);
}

/** Creates the logger of the process: JSON lines on stdout (twelve-factor XI). */
export function createLogger(destination: DestinationStream = output): Logger {
  return pino(
    {
      base: { name: manifest.name, pid: process.pid },
      serializers: { err: serializeError, error: serializeError, reason: serializeReason },
      hooks: { streamWrite: hideSecretsInLine },
      mixin: () => readFields() as object,
      // By default, pino copies each line into a new object.
      mixinMergeStrategy: (line, fields) => (fields ? { ...fields, ...line } : line),
    },
    destination,
  );
}

/** The reason of a rejection is an error, others are often texts. */
function serializeReason(reason: unknown): unknown {
  return typeof reason === 'string' ? reason : serializeError(reason);
}

function readFields(): object | undefined {
  if (readers.size > 0) return Object.assign({}, ...[...readers].map((read) => read()));
}
