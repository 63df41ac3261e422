import { openHttpDoor } from './http-door.ts';
import { startProcess } from './process.ts';

startProcess(openHttpDoor);
