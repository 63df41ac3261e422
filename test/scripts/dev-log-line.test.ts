import { test } from 'tap';
import { shortenLine } from '../../scripts/dev/log-line.ts';
import { captureLog } from '../helper.ts';

/** What npm run dev shows of a line, without the fields of every line. */
function shorten(fields: object, message: string): object {
  const { logger, lines } = captureLog();
  logger.info(fields, message);
  const { level, time, pid, ...shown } = JSON.parse(shortenLine(JSON.stringify(lines[0])));
  return shown;
}

test('npm run dev shows a request as one message', (t) => {
  const request = { method: 'GET', path: '/notes', status: 200, durationMs: 1.5, address: '::1' };
  const msg = 'GET /notes 200 in 1.5 ms';
  t.strictSame(shorten({ requestId: '1', ...request }, 'request'), { msg });
  const unreadable = { ...request, method: null, path: null, status: 400 };
  const short = { msg: 'An unreadable request: 400 in 1.5 ms' };
  t.strictSame(shorten(unreadable, 'request'), short);
  t.strictSame(shorten({ ...request, user: 'alice' }, 'request failed'), { user: 'alice', msg });
  t.end();
});

test('npm run dev shows all fields of a line of the app', (t) => {
  for (const fields of [
    { name: 'Alice', status: 'paid', path: '/tmp/x.csv' },
    { method: 'card', durationMs: 5, address: 'Main Street 1' },
  ])
    t.strictSame(shorten(fields, 'Order is paid'), { ...fields, msg: 'Order is paid' });
  t.end();
});

test('npm run dev shows the output of packages unchanged', (t) => {
  for (const line of ['Hello', '{"a":1}', '{"level":30,', '']) t.equal(shortenLine(line), line);
  t.end();
});
