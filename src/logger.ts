import { type DestinationStream, type Logger, pino } from 'pino';
import manifest from '../package.json' with { type: 'json' };
import { serializeError } from './error-log.ts';
import { Output } from './output.ts';
import { hideSecretsInLine } from './redaction.ts';

const output = new Output((lost) =>
  createLogger().warn({ lost }, 'Lines of the log were lost: stdout did not take them in time'),
);

/** Writes whole lines to the log as they are, such as those of a worker. */
export function writeLines(lines: string): void {
  output.write(lines);
}

/** What every line has beside its own fields. */
let readFields = (): object | undefined => undefined;

/** Adds fields to every line from now on, as they are when it is written: the ids of a trace. */
export function addLogFields(read: () => object | undefined): void {
  readFields = read;
}

/**
 * The logger of the whole process: JSON lines on stdout (twelve-factor XI), for Fastify and for
 * what runs before and after it.
 */
export function createLogger(destination: DestinationStream = { write: writeLines }): Logger {
  return pino(
    {
      base: { name: manifest.name, pid: process.pid },
      serializers: { err: serializeError, error: serializeError, reason: serializeError },
      hooks: { streamWrite: hideSecretsInLine },
      mixin: () => readFields() as object,
      // pino would copy each line into an object of its own.
      mixinMergeStrategy: (line, fields) => (fields ? { ...fields, ...line } : line),
    },
    destination,
  );
}
