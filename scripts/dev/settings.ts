import { existsSync, readFileSync } from 'node:fs';
import { parseEnv } from 'node:util';

/** The settings of development. `.env` overrides `.env.example`; the environment overrides both. */
export const SETTINGS = ['.env.example', '.env'];

function listSettings(): string[] {
  return SETTINGS.filter((file) => existsSync(file));
}

export function readEnvironment(): NodeJS.ProcessEnv {
  const files = listSettings().map((file) => parseEnv(readText(file)));
  return Object.assign({}, ...files, process.env);
}

/** Reads UTF-8 without a byte order mark, which would become a part of the first name. */
function readText(file: string): string {
  return new TextDecoder().decode(readFileSync(file));
}
