import { type Test, test } from 'tap';
import { DOWN, type ProcessOptions, runProcess, startProcess } from '../../test/helper.ts';

const environment = { DATABASE_URL: DOWN, LOG_LEVEL: 'info' };

const run = (t: Test, options: Omit<ProcessOptions, 'environment'>, input = '') =>
  runProcess(t, { environment, source: 'src', ...options }, input);

test('The worker answers the health routes alone, while the database is down', async (t) => {
  const started = await startProcess(t, { entry: 'worker', environment, source: 'src' });
  const { url, lines, waitForLine, signal, exited } = started;
  await waitForLine('The job queue is away');
  const get = (path: string) => fetch(url + path);
  t.match(await (await get('/health/live')).json(), { status: 'live' });
  t.equal((await get('/health/ready')).status, 503);
  for (const path of ['/', '/docs', '/openapi.json', '/notes', '/healthy', '/nothing']) {
    const answer = await get(path);
    t.match(await answer.json(), { statusCode: 404, message: `GET ${path} does not exist.` });
    t.ok(answer.headers.get('x-request-id') && answer.headers.get('content-security-policy'));
  }
  signal('SIGTERM');
  t.equal(await exited, 0);
  t.equal(lines.filter(({ msg }) => msg.startsWith('The job queue is away')).length, 1);
});

test('job runs one job in the foreground, and names an unknown one', async (t) => {
  const job = (...args: string[]) => run(t, { entry: 'job-command', args });
  t.match(await job('work', '{"how":"end"}'), { code: 0, last: { job: 'work', outcome: 'done' } });
  t.match(await job('work', '{"how":"throw"}'), {
    code: 1,
    last: { level: 50, outcome: 'failed', err: Object },
  });
  t.match(await job('work'), {
    code: 1,
    last: { level: 60, msg: /The payload of the job work does not fit/ },
  });
  t.match(await job('work', '5'), { code: 1, last: { msg: /payload must be object/ } });
  const unknown = 'There is no job named cats. These are there: tick, work.';
  t.match(await job('cats'), { code: 1, last: { level: 60, msg: unknown } });
  for (const args of [[], ['work', '{'], ['work', '{}', '{}']])
    t.match(await job(...args), {
      code: 1,
      last: { level: 60, msg: /^Give a job's name and its/ },
    });
  t.match(await run(t, { entry: 'job' }), {
    code: 1,
    last: { level: 60, msg: /^Give a job's name/ },
  });
});

test('console runs the lines of its stdin in order', async (t) => {
  const open = (input: string) => run(t, { entry: 'console' }, input);
  const lines = [
    'const one = await Promise.resolve(1)',
    'function add(more) {',
    'return one + more }',
  ];
  const done = await open(
    `${lines.join('\n')}\nadd(2)\ntypeof jobs.send + typeof db + typeof sql + typeof app\n`,
  );
  t.match(done, { code: 0 });
  t.strictSame(
    done.noise.filter((text) => !text.includes('"level":30')),
    ['3', "'functionobjectfunctionobject'"],
  );
  const failed = await open('await jobs.send("cats", {})\n"never"\n');
  t.equal(failed.code, 1);
  t.match(failed.noise.join(''), /There is no job named cats/);
  t.notMatch(failed.noise.join(''), /never/);
  for (const [input, message] of [
    [') + 1\n', /Unexpected token/],
    ['function add() {\n', /This is not complete: function add/],
  ] as const) {
    const { code, noise } = await open(input);
    t.equal(code, 1);
    t.match(noise.join(''), message);
  }
});
