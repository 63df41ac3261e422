import { openHttpListener } from './listener.ts';
import { startProcess } from './process.ts';

startProcess(openHttpListener);
