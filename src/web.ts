// Stack traces name the lines of the sources: each file that is loaded from here on comes with its map.
process.setSourceMapsEnabled(true);

const { openHttpDoor } = await import('./http-door.ts');
const { startProcess } = await import('./process.ts');

await startProcess(openHttpDoor);
