import module from 'node:module';

// Compiled code is kept in the system's temporary folder: the next start takes two thirds of the time.
module.enableCompileCache?.();

const { openHttpDoor } = await import('./http-door.ts');
const { startProcess } = await import('./process.ts');

await startProcess(openHttpDoor);
