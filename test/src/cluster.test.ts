import { type Test, test } from 'tap';
import { poll, spawnProcess, type TestProcess } from '../helper.ts';

const startPrimary = (t: Test, mode: string) =>
  spawnProcess(t, { entry: 'cluster', mode, source: 'src', environment: {} });

const listWorkers = ({ lines }: TestProcess) =>
  lines.filter(({ msg }) => msg === 'worker').map(({ pid }) => Number(pid));

test('A worker that dies is replaced at once, or after a pause if it died early', async (t) => {
  const modes = {
    stable: { isPaused: false, signal: 'SIGINT' },
    steady: { isPaused: true, signal: 'SIGTERM' },
  } as const;
  for (const [mode, { isPaused, signal }] of Object.entries(modes)) {
    const primary = startPrimary(t, mode);
    await poll(() => listWorkers(primary).length === 2);
    t.match(primary.lines, [{ level: 30, workers: 2 }, { text: '\u2028' }]);
    // The younger worker: on a busy machine, the first may be old by now.
    const dead = listWorkers(primary).at(-1);
    process.kill(Number(dead), 'SIGKILL');
    await poll(() => listWorkers(primary).length === 3);
    const line = await primary.waitForLine('A web process failed');
    t.match(line, { level: 40, worker: dead, signal: 'SIGKILL' });
    t.equal(Number(line.pauseMs) > 0, isPaused, mode);
    primary.signal(signal);
    t.equal(await primary.exited, 0);
    for (const pid of listWorkers(primary)) t.throws(() => process.kill(pid, 0), { code: 'ESRCH' });
  }
});

test('A worker that fails while stopping makes the exit code 1', async (t) => {
  const primary = startPrimary(t, 'failing');
  await poll(() => listWorkers(primary).length === 2);
  primary.signal('SIGTERM');
  t.equal(await primary.exited, 1);
  t.equal(listWorkers(primary).length, 2, 'no worker is replaced');
});

test('A worker that another program kills while stopping is logged', async (t) => {
  const primary = startPrimary(t, 'stuck');
  await poll(() => listWorkers(primary).length === 2);
  primary.signal('SIGTERM');
  const workers = listWorkers(primary) as number[];
  for (const worker of workers) process.kill(worker, 'SIGKILL');
  t.equal(await primary.exited, 1);
  const killed = primary.lines.filter(({ msg }) => msg === 'A web process was killed');
  t.same(new Set(killed.map(({ worker }) => worker)), new Set(workers));
});

test('Blocked workers are killed when the time to stop is over', async (t) => {
  const primary = startPrimary(t, 'stuck');
  await poll(() => listWorkers(primary).length === 2);
  primary.signal('SIGTERM');
  t.equal(await primary.exited, 1);
  t.match(primary.lines.at(-1), {
    level: 50,
    workers: listWorkers(primary),
    msg: 'Web processes that do not stop are killed',
  });
});

test('A first worker that fails to start is not replaced; the process ends with 1', async (t) => {
  const primary = startPrimary(t, 'stillborn');
  t.equal(await primary.exited, 1);
  t.notOk(primary.lines.some(({ msg }) => msg.includes('takes its place')));
});

test('A process whose workers keep dying gives up and ends with 1', async (t) => {
  const primary = startPrimary(t, 'dying');
  t.equal(await primary.exited, 1);
  const pauses = primary.lines.flatMap(({ pauseMs }) => pauseMs ?? []);
  const slept = primary.lines.filter(({ msg }) => msg === 'sleep').map(({ ms }) => ms);
  t.same(slept, pauses);
  t.equal(new Set(pauses).size, pauses.length, 'no pause is repeated');
  // The other worker may still say that it listens.
  t.match(
    primary.lines.filter(({ level }) => level === 60),
    [{ msg: /workers in a row ended within .* s: the process gives up/ }],
  );
});

test('A worker that reports its crash twice is replaced once', async (t) => {
  const primary = startPrimary(t, 'crashing');
  await poll(() => listWorkers(primary).length === 3);
  const [crashed] = listWorkers(primary);
  t.match(await primary.waitForLine('A web process failed'), { worker: crashed, code: 1 });
  t.equal(primary.lines.filter(({ msg }) => msg.includes('takes its place')).length, 1);
  for (const pid of listWorkers(primary)) t.ok(process.kill(pid, 0));
  primary.signal('SIGTERM');
  t.equal(await primary.exited, 0);
});

test('A worker whose event loop blocks is killed and replaced', async (t) => {
  const primary = startPrimary(t, 'silent');
  // On a busy machine, others may be late too.
  await poll(() => listWorkers(primary).length >= 3);
  const [silent] = listWorkers(primary);
  const listLines = () => primary.lines.filter(({ worker }) => worker === silent);
  await poll(() => listLines().length >= 2);
  t.match(listLines(), [
    { level: 50, msg: /is blocked/ },
    { msg: /A web process failed/, signal: 'SIGKILL' },
  ]);
  primary.signal('SIGTERM');
  t.equal(await primary.exited, 0);
});
