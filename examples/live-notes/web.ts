import { openHttpListener } from '../../src/listener.ts';
import { startProcess } from '../../src/process.ts';
import { FOLDERS } from './folders.ts';

startProcess(openHttpListener, FOLDERS);
