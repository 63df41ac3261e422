import { readFileSync, statSync } from 'node:fs';
import { parseEnv } from 'node:util';

/** The settings of development. `.env` overrides `.env.example`; the environment overrides both. */
export const SETTINGS = ['.env.example', '.env'];

function listSettings(): string[] {
  return SETTINGS.filter((file) => statSync(file, { throwIfNoEntry: false })?.isFile());
}

export function readEnvironment(): NodeJS.ProcessEnv {
  const files = listSettings().map((file) => parseEnv(readText(file)));
  return Object.assign({}, ...files, process.env);
}

/** Reads UTF-8 without a byte order mark, which would become a part of the first name. */
function readText(file: string): string {
  const text = new TextDecoder().decode(readFileSync(file));
  if (!text.includes('\0')) return text;
  console.error(
    `${file} is not text in UTF-8. ">" of an old PowerShell writes UTF-16: convert it.`,
  );
  process.exit(1);
}
