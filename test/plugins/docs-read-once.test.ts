import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { test } from 'tap';
import { readOnce } from '../../plugins/docs/read-once.ts';
import { createFolder, writeFiles } from '../helper.ts';

test('A file is read once for all callers, and again after a failure', async (t) => {
  const folder = await createFolder(t);
  const read = readOnce(pathToFileURL(path.join(folder, 'a.txt')));
  await t.rejects(read(), { code: 'ENOENT' });
  const text = 'a'.repeat(100_000);
  await writeFiles(folder, { 'a.txt': text });
  const [first, second] = await Promise.all([read(), read()]);
  t.equal(first, second);
  t.strictSame(
    first.map(({ length }) => length),
    [65_536, 34_464],
  );
  t.equal(Buffer.concat(first).toString(), text);
  await writeFiles(folder, { 'a.txt': '' });
  t.equal(await read(), first);
});
