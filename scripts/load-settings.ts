import { readEnvironment } from './dev/settings.ts';

/*
 * Loads the settings of development, for commands that run the sources once, such as `npm run job`.
 * Node's own --env-file-if-exists prints a line if a file does not exist.
 */
Object.assign(process.env, readEnvironment());
