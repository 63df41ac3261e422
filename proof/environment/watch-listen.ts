import { tracingChannel } from 'node:diagnostics_channel';
import { writeSync } from 'node:fs';

// Loaded into the process before the app: says on stderr whenever any server of it begins to
// listen.
tracingChannel('net.server.listen').subscribe({
  asyncStart: () => void writeSync(2, 'A server listens\n'),
  start() {},
  end() {},
  asyncEnd() {},
  error() {},
});
