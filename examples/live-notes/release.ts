import { buildApp } from '../../src/app.ts';
import { FOLDERS } from './folders.ts';

const app = await buildApp(FOLDERS);
await app.readiness.release();
await app.close();
