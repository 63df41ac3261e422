import { tracingChannel } from 'node:diagnostics_channel';
import { writeSync } from 'node:fs';

// Loaded into the process before the app. Prints on stderr when a server listens.
tracingChannel('net.server.listen').subscribe({
  asyncStart: () => void writeSync(2, 'A server listens\n'),
  start() {},
  end() {},
  asyncEnd() {},
  error() {},
});
