import { test } from 'tap';
import { Readiness } from '../../plugins/readiness.ts';
import { buildTestApp, captureLog, poll } from '../helper.ts';

const up = async () => undefined;
const down = async () => Promise.reject(new Error('away'));

function createReadiness() {
  const { logger, lines } = captureLog();
  return { readiness: new Readiness(logger), lines };
}

test('Without services the app is ready', async (t) => {
  t.strictSame(await createReadiness().readiness.report(), { status: 'ready', services: {} });
});

test('A required service that is down makes the app unavailable', async (t) => {
  const { readiness } = createReadiness();
  readiness.attach({ name: 'database', required: true, check: down });
  readiness.attach({ name: 'cache', required: false, check: down });
  readiness.attach({ name: 'queue', required: true, check: up });
  t.strictSame(await readiness.report(), {
    status: 'unavailable',
    services: { database: { status: 'down' }, cache: { status: 'down' }, queue: { status: 'up' } },
  });
});

test('An optional service that is down makes the app degraded', async (t) => {
  const { readiness } = createReadiness();
  readiness.attach({ name: 'database', required: true, check: up });
  readiness.attach({ name: 'cache', required: false, check: down });
  t.strictSame(await readiness.report(), {
    status: 'degraded',
    services: { database: { status: 'up' }, cache: { status: 'down' } },
  });
});

test('A draining process is down, whatever its services do', async (t) => {
  const { readiness } = createReadiness();
  readiness.attach({ name: 'database', required: true, check: down });
  readiness.draining = true;
  t.strictSame(await readiness.report(), {
    status: 'draining',
    services: { database: { status: 'down' } },
  });
});

test('A check that hangs counts as down within a second', async (t) => {
  const { readiness, lines } = createReadiness();
  readiness.attach({ name: 'database', required: true, check: () => new Promise(() => undefined) });
  t.match(await readiness.report(), { status: 'unavailable' });
  const message = /^No answer within \d{3} ms$/;
  t.match(lines, [{ msg: 'database is down', err: { message } }]);
});

test('A check that throws instead of rejecting counts as down', async (t) => {
  const { readiness } = createReadiness();
  const check = () => {
    throw new Error('a bug');
  };
  readiness.attach({ name: 'database', required: true, check });
  t.match(await readiness.report(), { status: 'unavailable' });
});

test('Concurrent readiness requests ask each service once', async (t) => {
  const { readiness } = createReadiness();
  let checks = 0;
  readiness.attach({ name: 'database', required: true, check: async () => checks++ });
  const reports = await Promise.all(Array.from({ length: 100 }, () => readiness.report()));
  t.equal(checks, 1);
  t.ok(reports.every(({ status }) => status === 'ready'));
});

test('A service that goes down and comes back is logged once each time', async (t) => {
  const { readiness, lines } = createReadiness();
  let check: () => Promise<unknown> = down;
  readiness.attach({ name: 'database', required: true, check: () => check() });
  let asked = 0;
  readiness.attach({ name: 'counter', required: false, check: async () => asked++ });
  await readiness.report();
  await poll(async () => (await readiness.report()) && asked === 2);
  t.match(lines, [
    { level: 40, service: 'database', msg: 'database is down', err: { message: 'away' } },
  ]);
  check = up;
  await poll(async () => (await readiness.report()).status === 'ready');
  t.match(lines.slice(1), [{ level: 30, service: 'database', msg: 'database is back' }]);
  t.equal(lines.length, 2);
});

test("release() runs each service's steps in turn, logs them and returns them all", async (t) => {
  const { readiness, lines } = createReadiness();
  t.strictSame(await readiness.release(), []);
  readiness.attach({
    name: 'database',
    required: true,
    check: up,
    release: async () => ['0001', '0002'],
  });
  readiness.attach({ name: 'cache', required: false, check: up });
  readiness.attach({ name: 'search', required: false, check: up, release: async () => ['index'] });
  t.strictSame(await readiness.release(), ['0001', '0002', 'index']);
  t.match(lines, [
    { level: 30, applied: [], msg: 'Nothing to apply' },
    { level: 30, applied: ['0001', '0002', 'index'], msg: 'Applied 0001, 0002, index' },
  ]);
});

test('Every app has app.readiness', async (t) => {
  const app = await buildTestApp(t);
  t.type(app.readiness, Readiness);
});
