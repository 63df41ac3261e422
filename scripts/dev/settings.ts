import { existsSync, readFileSync } from 'node:fs';
import { parseEnv } from 'node:util';

/** The settings of development. `.env` overrides `.env.example`; the environment overrides both. */
export const SETTINGS = ['.env.example', '.env'];

export function listSettings(): string[] {
  return SETTINGS.filter((file) => existsSync(file));
}

export function readEnvironment(): NodeJS.ProcessEnv {
  const files = listSettings().map((file) => parseEnv(readFileSync(file, 'utf8')));
  return Object.assign({}, ...files, process.env);
}
