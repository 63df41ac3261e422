import { readEnvironment } from './dev/settings.ts';

/* Loads the settings of development. Node's --env-file-if-exists complains of missing files. */
Object.assign(process.env, readEnvironment());
