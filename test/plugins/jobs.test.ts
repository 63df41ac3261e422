import { execFile } from 'node:child_process';
import { pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import { sql } from 'kysely';
import { type Test, test } from 'tap';
import { defineJob } from '../../plugins/jobs.ts';
import { createEmbeddedDatabase } from '../fixture/embedded-database.ts';
import {
  buildTestApp,
  captureLog,
  createFolder,
  DOWN,
  type Environment,
  poll,
  REQUIRED,
  writeFiles,
} from '../helper.ts';

const execute = promisify(execFile);

const FIXTURE = new URL('../fixture/jobs/', import.meta.url);

/** Builds the app with the jobs of test/fixture; `lines` is what it logs from now on. */
async function buildAppWithJobs(t: Test, environment: Environment = {}, jobs = [FIXTURE]) {
  const { logger, lines } = captureLog();
  const app = await buildTestApp(t, environment, { logger, jobs });
  lines.length = 0;
  return { app, lines };
}

async function buildAppWithJob(t: Test, name: string, code: string) {
  const folder = await createFolder(t);
  await writeFiles(folder, { [name]: code });
  return buildAppWithJobs(t, { DATABASE_URL: DOWN }, [pathToFileURL(`${folder}/`)]);
}

test('run runs a job once, without a database, and logs one summary', async (t) => {
  const { app, lines } = await buildAppWithJobs(t, { DATABASE_URL: DOWN });
  await app.jobs.run('work', { how: 'end' });
  const [begun, summary, ...rest] = lines;
  t.match(begun, { msg: 'end begins', job: 'work', id: /^[0-9a-f-]{36}$/, attempt: 1 });
  t.match(summary, { level: 30, job: 'work', id: begun?.id, attempt: 1, outcome: 'done' });
  t.type(summary?.durationMs, 'number');
  t.strictSame(rest, []);
});

test('A job that quiets its logger has its summary', async (t) => {
  const { app, lines } = await buildAppWithJobs(t, { DATABASE_URL: DOWN });
  await app.jobs.run('work', { how: 'quiet' });
  t.match(lines.at(-1), { job: 'work', outcome: 'done' });
});

test('A long text can be in a payload', async (t) => {
  const { app } = await buildAppWithJobs(t, { DATABASE_URL: DOWN });
  const run = (file: string) => app.jobs.run('work', { how: 'end', file });
  await run(`${'x'.repeat(9_000_000)}€`);
  for (const wrong of ['\0', '\ud800', '\udc00\ud800'])
    await t.rejects(run(`${'x'.repeat(9_000_000)}${wrong}`), { code: 'BAD_PAYLOAD' });
});

test('run rejects with what the job throws, without a retry', async (t) => {
  const { app, lines } = await buildAppWithJobs(t, { DATABASE_URL: DOWN });
  await t.rejects(app.jobs.run('work', { how: 'throw' }), RangeError);
  t.match(lines.at(-1), { level: 50, outcome: 'failed', err: { type: 'RangeError' } });
  await t.rejects(app.jobs.run('work', { how: 'throw text' }), { message: 'no error' });
  t.equal(lines.filter(({ outcome }) => outcome).length, 2);
  const unreadable = app.jobs.run('work', { how: 'throw unreadable' });
  await t.rejects(unreadable, { message: /^The thrown value is not a readable error/ });
});

test('A late job is aborted; one that ignores its signal is abandoned', async (t) => {
  const job = defineJob({ schema: {}, run: async () => undefined });
  t.match(job, { retries: 5, retryDelayMs: 1_000, timeoutMs: 60_000 });
  const code = `export default { schema: {}, retries: 0, retryDelayMs: 0, timeoutMs: 50,
    run: ({ signal, log }) => new Promise(() => {
      signal.addEventListener('abort', () => log.info('told'));
    }) };`;
  const { app, lines } = await buildAppWithJob(t, 'hang.js', code);
  const run = app.jobs.run as (name: string, payload: object) => Promise<void>;
  await t.rejects(run.call(app.jobs, 'hang', {}), { name: 'TimeoutError', message: /than 50 ms/ });
  t.match(lines, [{ msg: 'told' }, { outcome: 'failed' }]);
});

test('send and run reject an unknown name or a payload that does not fit the schema', async (t) => {
  const { app } = await buildAppWithJobs(t, { DATABASE_URL: DOWN });
  for (const method of [app.jobs.send, app.jobs.run]) {
    const call = (name: string, payload: unknown) =>
      (method as (name: string, payload: unknown) => Promise<unknown>).call(
        app.jobs,
        name,
        payload,
      );
    await t.rejects(call('wrok', {}), {
      message: 'There is no job named wrok. These are there: tick, work.',
    });
    const message =
      'The payload of the job work does not fit: payload/how must be equal to one of the allowed values.';
    await t.rejects(call('work', { how: 'well' }), { message });
    await t.rejects(call('work', undefined), { message: /must have required property 'how'/ });
    const circular: { self?: object } = {};
    circular.self = circular;
    const texts = [{ how: 'a\0' }, { how: '\ud800' }, { how: 'end', 'a\0': 1 }];
    for (const payload of [circular, () => 1, 5, { how: 1n }, ...texts])
      await t.rejects(call('work', payload), { code: 'BAD_PAYLOAD' });
  }
});

test('send rejects a time or a key that the database cannot store', async (t) => {
  const { app } = await buildAppWithJobs(t, { DATABASE_URL: DOWN });
  for (const [options, message] of [
    [{ after: Number.NaN }, 'options/after must be'],
    [{ after: Number.POSITIVE_INFINITY }, 'options/after must be'],
    [{ after: new Date('soon') }, 'options/after must be'],
    [{ after: 1e15 }, 'options/after must be <= 315360000000'],
    [{ key: 'a\0' }, 'options/key must match pattern'],
    [{ key: 'a'.repeat(501) }, 'options/key must NOT have more than 500 characters'],
  ] as const)
    await t.rejects(app.jobs.send('work', { how: 'end' }, options), {
      code: 'BAD_OPTIONS',
      message: new RegExp(`^The job work cannot be sent: ${message}`),
    });
});

test('A file in jobs/ without a valid job keeps the app from starting', async (t) => {
  const once = 'run: async () => {}, retries: 1, retryDelayMs: 0, timeoutMs: 1';
  for (const [name, code, message] of [
    ['cats.mts', 'export const cats = 1;', /cats\.mts exports no job: add "export default/],
    ['ca-ts.cts', 'module.exports = {};', /ca-ts\.cts exports no job: add "export default/],
    ['cats.js', 'export const cats = 1;', /cats\.js exports no job: add "export default defineJob/],
    [
      'dogs.js',
      `export default { schema: {}, ${once}, retryDelayMs: -1 };`,
      /dogs\.js: job\/retryDelayMs must be >= 0/,
    ],
    [
      'mice.js',
      `export default { schema: {}, ${once}, schedule: 'daily' };`,
      /mice\.js: its schedule must be five fields of cron/,
    ],
    ...['H * * * *', '0,H * * * *', '0 H(0-5) * * *', '', '@daily', '0  3 * * *'].map(
      (schedule) =>
        [
          'rats.js',
          `export default { schema: {}, ${once}, schedule: '${schedule}' };`,
          /rats\.js: its schedule must be five fields of cron without H/,
        ] as const,
    ),
    [
      'owls.js',
      `export default { schema: { required: ['a'] }, ${once}, schedule: '* * * * *' };`,
      /owls\.js: its schedule gives it \{\}, which does not fit its schema: payload must have required property 'a'/,
    ],
    [
      'foxes.js',
      `export default { schema: { format: 'mail' }, ${once}, schedule: '* * * * *' };`,
      /^The schema of the job foxes cannot be compiled: unknown format "mail"/,
    ],
    [
      'käfer.js',
      `export default { schema: {}, ${once} };`,
      /käfer\.js: a job name has only letters, digits, "_", "-" and "\."/,
    ],
  ] as const)
    await t.rejects(buildAppWithJob(t, name, code), { message }, name);
  const twice = buildAppWithJobs(t, { DATABASE_URL: DOWN }, [FIXTURE, FIXTURE]);
  await t.rejects(twice, { message: 'Two files of jobs/ are named tick: rename one' });
});

test('A job that timed out fails, whatever it does after its abort', async (t) => {
  const ends = ['return resolve()', "return reject(new Error('left'))"];
  for (const end of ends) {
    const code = `export default {
      schema: {}, retries: 0, retryDelayMs: 0, timeoutMs: 50,
      run: ({ signal }) => new Promise((resolve, reject) =>
        signal.addEventListener('abort', () => { ${end}; })),
    };`;
    const { app } = await buildAppWithJob(t, 'late.js', code);
    const late = app.jobs.run('late' as never, {} as never);
    await t.rejects(late, { message: 'The job took longer than 50 ms' }, end);
  }
});

test('Without a folder of jobs, there are no jobs', async (t) => {
  const { app } = await buildAppWithJobs(t, { DATABASE_URL: DOWN }, [new URL('none/', FIXTURE)]);
  await t.rejects(app.jobs.run('work', { how: 'end' }), { message: /These are there: \./ });
});

test('A database is not prepared for a job whose schema has an unknown format', async (t) => {
  const { app } = await buildAppWithJob(
    t,
    'mail.js',
    `export default {
      schema: { type: 'object', properties: { to: { type: 'string', format: 'mail' } } },
      run() {}, retries: 0, retryDelayMs: 0, timeoutMs: 1,
    };`,
  );
  const message = /^The schema of the job mail cannot be compiled: unknown format "mail" .*\/to"/;
  await t.rejects(app.jobs.prepare({ pool: app.databasePool! }), { message });
});

test('A job whose schema refers to a shared schema says that it cannot', async (t) => {
  const code = `export default {
    schema: { type: 'object', properties: { price: { $ref: 'Money' } } },
    run() {}, retries: 0, retryDelayMs: 0, timeoutMs: 1,
  };`;
  const { app } = await buildAppWithJob(t, 'bill.js', code);
  const message =
    /^The schema of the job bill cannot be compiled: can't resolve reference Money .* a job does not/;
  await t.rejects(app.jobs.run('bill' as never, {} as never), { message });
  await t.rejects(app.jobs.send('bill' as never, {} as never), { message });
});

test('An embedded database that cannot be prepared leaves nothing running', async (t) => {
  const folder = await createFolder(t);
  await writeFiles(folder, {
    'jobs/never.js': `export default {
      schema: {}, run() {}, retries: 0, retryDelayMs: 0, timeoutMs: 1, schedule: '99 * * * *',
    };`,
    'main.js': `import { buildApp } from ${JSON.stringify(new URL('../../src/app.ts', import.meta.url))};
      const environment = {
        ...${JSON.stringify(REQUIRED)},
        DATABASE_URL: 'pglite:${await createEmbeddedDatabase()}',
        LOG_LEVEL: 'silent',
      };
      const jobs = [new URL('./jobs/', import.meta.url)];
      const app = await buildApp({ environment, jobs });
      const send = () => app.jobs.send('never', {}).catch(({ message }) => console.log(message));
      await send();
      await send();
      await app.close();`,
    'package.json': '{ "type": "module" }',
  });
  // A timer of pg-boss would keep the process alive.
  const { stdout } = await execute(process.execPath, [`${folder}/main.js`], { timeout: 120_000 });
  t.match(stdout, /^(The job never cannot have the schedule "99 .*\n){2}$/);
});

test('With JOBS_IN_WEB, web takes jobs from the embedded database', async (t) => {
  const { app, lines } = await buildAppWithJobs(t, {
    DATABASE_URL: `pglite:${await createEmbeddedDatabase()}`,
    JOBS_IN_WEB: 'true',
    SHUTDOWN_DELAY_MS: '0',
    SHUTDOWN_TIMEOUT_MS: '3000',
  });
  const outcomes = (id: string | null) =>
    lines.filter((line) => line.id === id && line.outcome).map(({ outcome }) => outcome);

  await t.test('The first send opens the database, also inside a transaction', async (t) => {
    const send = (options = {}) =>
      app.jobs.send('tick' as never, {} as never, { after: 600_000, ...options });
    const outside = send();
    const inside = app.db.transaction().execute((transaction) => send({ transaction }));
    t.type(await outside, 'string');
    t.type(await inside, 'string');
  });

  await t.test('A job is queued only if its transaction commits', async (t) => {
    const send = (fails: boolean) =>
      app.db.transaction().execute(async (transaction) => {
        await app.jobs.send('work', { how: 'end' }, { transaction, after: 600_000 });
        if (fails) throw new Error('rolled back');
      });
    await send(false);
    await t.rejects(send(true), { message: 'rolled back' });
    const { rows } = await sql`select data from pgboss.job where name = 'work'`.execute(app.db);
    t.strictSame(rows, [{ data: { how: 'end' } }]);
  });

  await t.test(
    'send within a transaction, but without it, rejects and names the fix',
    async (t) => {
      const send = app.db.transaction().execute(async () => app.jobs.send('work', { how: 'end' }));
      await t.rejects(send, { message: /Inside it, .* send jobs with \{ transaction \}/ });
    },
  );

  await t.test('A second job with the key of a waiting one is not queued', async (t) => {
    const after = new Date(Date.now() + 600_000);
    const send = (key: string) => app.jobs.send('work', { how: 'end' }, { key, after });
    t.type(await send('a'), 'string');
    t.equal(await send('a'), null);
    t.type(await send('b'), 'string');
  });

  await t.test('Queued jobs are done, retried, or given up', async (t) => {
    await app.listen({ host: '127.0.0.1', port: 0 });
    const done = await app.jobs.send('work', { how: 'end' });
    const failed = await app.jobs.send('work', { how: 'throw' }, { after: -1 });
    await poll(() => outcomes(done).length === 1 && outcomes(failed).length === 2);
    t.strictSame(outcomes(done), ['done']);
    t.strictSame(outcomes(failed), ['retry', 'failed']);
    const failures = lines.filter((line) => line.id === failed && line.outcome);
    t.match(failures, [
      { level: 40, attempt: 1, err: { type: 'RangeError' } },
      { level: 50, attempt: 2, err: { type: 'RangeError' } },
    ]);
    const retryInMs = Number(failures[0]?.retryInMs);
    t.ok(retryInMs >= 1_000 && retryInMs <= 2_000, `${retryInMs} ms`);
    const { rows } = await sql<{ state: string; output: object; keep: number }>`
      select state, output, deletion_seconds as keep from pgboss.job where id = ${failed}`.execute(
      app.db,
    );
    const output = { error: 'RangeError' };
    t.strictSame(rows, [{ state: 'failed', output, keep: 604_800 }], 'no secret is kept');
  });

  await t.test(
    'A job with a payload of an older version, or of killed workers, is given up',
    async (t) => {
      const [older, scalar, killed] = [
        await app.jobs.send('work', { how: 'end' }, { after: 600_000 }),
        await app.jobs.send('work', { how: 'end' }, { after: 600_000 }),
        await app.jobs.send('work', { how: 'end' }, { after: 600_000 }),
      ];
      await sql`update pgboss.job set retry_count = 2 where id = ${killed}`.execute(app.db);
      await sql`update pgboss.job set data = '{"what":1}' where id = ${older}`.execute(app.db);
      await sql`update pgboss.job set data = '"text"' where id = ${scalar}`.execute(app.db);
      const ids = [older, scalar, killed];
      await sql`update pgboss.job set start_after = now() where id in (${sql.join(ids)})`.execute(
        app.db,
      );
      await poll(() => outcomes(killed).length === 1);
      for (const id of [older, scalar]) {
        await poll(() => outcomes(id).length === 2);
        t.strictSame(outcomes(id), ['retry', 'failed']);
      }
      const err = {
        message:
          'No attempt is left: the worker was killed at the last one, or the job has fewer retries now',
      };
      t.match(
        lines.find((line) => line.id === killed && line.outcome),
        { outcome: 'failed', attempt: 3, err },
      );
    },
  );

  await t.test('Closing the app rejects if jobs are given back', async (t) => {
    const id = await app.jobs.send('work', { how: 'hang' });
    await poll(() => lines.some((line) => line.id === id));
    await t.rejects(app.close(), { message: /^Jobs given back, .*: 1$/ });
    t.strictSame(outcomes(id), ['returned']);
    await t.rejects(sql`select 1`.execute(app.db), /destroyed/, 'the database is closed');
  });
});
