import { execFile } from 'node:child_process';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import { test } from 'tap';
import { createFolder } from '../helper.ts';

const execute = promisify(execFile);
const SCRIPT = path.join(import.meta.dirname, '../../scripts/load-settings.ts');

test("A task's settings come from .env.example, then .env, then the environment", async (t) => {
  const folder = await createFolder(t);
  const read = async () => {
    const env = { C: 'real', NODE_NO_WARNINGS: '1' };
    const args = [
      '--import',
      SCRIPT,
      '-p',
      '["A", "B", "C"].map((name) => process.env[name]).join(" ")',
    ];
    const { stdout, stderr } = await execute(process.execPath, args, { cwd: folder, env });
    t.equal(stderr, '', 'a missing file is not mentioned');
    return stdout.trim();
  };
  t.equal(await read(), 'real');
  await writeFile(path.join(folder, '.env.example'), 'A=example\nB=example\nC=example\n');
  t.equal(await read(), 'example example real');
  await writeFile(path.join(folder, '.env'), 'B=own\nC=own\n');
  t.equal(await read(), 'example own real');
  // Editors of Windows begin UTF-8 files with a byte order mark.
  await writeFile(path.join(folder, '.env'), '\u{FEFF}B=marked\r\nC=marked\r\n');
  t.equal(await read(), 'example marked real');
  // As PowerShell 5 writes it.
  await writeFile(path.join(folder, '.env'), 'B=wide', 'utf16le');
  await t.rejects(read(), { code: 1, stderr: /^\.env is not text in UTF-8\. .* convert it\.\n$/ });
  await rm(path.join(folder, '.env'));
  await mkdir(path.join(folder, '.env'));
  t.equal(await read(), 'example example real', 'a folder, as of a mount whose file is missing');
});
