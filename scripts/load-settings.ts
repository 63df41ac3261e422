import { readEnvironment } from './dev/settings.ts';

/*
 * Loaded before what runs the sources once, as `npm run job` does: the settings of development.
 * Node's own --env-file-if-exists says on each run that a file is not there.
 */
Object.assign(process.env, readEnvironment());
