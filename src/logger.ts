import { type DestinationStream, type Logger, pino } from 'pino';
import manifest from '../package.json' with { type: 'json' };
import { serializeError } from './error-log.ts';
import { Output } from './output.ts';
import { hideSecretsInLine } from './redaction.ts';

/** Takes complete lines of the log, such as those of a worker. */
export const output = new Output((lost) =>
  createLogger().warn({ lost }, 'Lines of the log were lost: stdout did not take them in time'),
);

let readFields = (): object | undefined => undefined;

/** Adds fields to every line from now on, such as trace ids. `read` is called for each line. */
export function addLogFields(read: () => object | undefined): void {
  readFields = read;
}

/** Creates the logger of the process: JSON lines on stdout (twelve-factor XI). */
export function createLogger(destination: DestinationStream = output): Logger {
  return pino(
    {
      base: { name: manifest.name, pid: process.pid },
      serializers: { err: serializeError, error: serializeError, reason: serializeError },
      hooks: { streamWrite: hideSecretsInLine },
      mixin: () => readFields() as object,
      // By default, pino copies each line into a new object.
      mixinMergeStrategy: (line, fields) => (fields ? { ...fields, ...line } : line),
    },
    destination,
  );
}
