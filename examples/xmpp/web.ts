import { openHttpDoor } from '../../src/http-door.ts';
import { startProcess } from '../../src/process.ts';

await startProcess(openHttpDoor, {
  plugins: [new URL('../../plugins/', import.meta.url), new URL('plugins/', import.meta.url)],
});
