import { existsSync, readFileSync } from 'node:fs';
import { parseEnv } from 'node:util';

/** The settings of development: the later file wins, and the real environment over both. */
export const SETTINGS = ['.env.example', '.env'];

/** The files of settings that are there. */
export function listSettings(): string[] {
  return SETTINGS.filter((file) => existsSync(file));
}

/** The environment of the app. */
export function readEnvironment(): NodeJS.ProcessEnv {
  const files = listSettings().map((file) => parseEnv(readFileSync(file, 'utf8')));
  return Object.assign({}, ...files, process.env);
}
