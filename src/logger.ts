import { type DestinationStream, type Logger, pino } from 'pino';
import manifest from '../package.json' with { type: 'json' };
import { hideSecrets } from './redaction.ts';

const stdout = pino.destination({ sync: true });

/** What is still to be written. */
let lines = '';

process.on('exit', flushLines);

/**
 * The lines of one turn of the event loop are one write, synchronous, so that none is lost at any exit: a write for
 * each would be a third of what a request costs.
 */
function writeLine(line: string): void {
  if (lines === '') setImmediate(flushLines);
  lines += line;
}

function flushLines(): void {
  if (lines === '') return;
  stdout.write(lines);
  lines = '';
}

/** What every line has beside its own fields. */
let readFields = (): object => ({});

/** Adds fields to every line from now on, as they are when it is written: the ids of a trace. */
export function addLogFields(read: () => object): void {
  readFields = read;
}

/**
 * The logger of the whole process: JSON lines on stdout (twelve-factor XI), for Fastify and for what
 * runs before and after it.
 */
export function createLogger(destination: DestinationStream = { write: writeLine }): Logger {
  return pino(
    {
      base: { name: manifest.name, pid: process.pid },
      hooks: { streamWrite: hideSecrets },
      mixin: () => readFields(),
    },
    destination,
  );
}
