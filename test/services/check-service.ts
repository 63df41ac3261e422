import type { Test } from 'tap';
import { type Environment, poll, startProcess, type TestProcess } from '../helper.ts';

/** `up`, or the logged reason why the service is down. */
export type Outcome = 'up' | RegExp;

interface Health {
  status: string;
  services: Record<string, { status: 'up' | 'down' }>;
}

async function readHealth({ url }: TestProcess): Promise<Health> {
  const answer = await fetch(`${url}/health/ready`);
  return (await answer.json()) as Health;
}

/**
 * Starts the app with the routes of test/fixture, and checks readiness and the log for the service.
 */
export async function checkService(
  t: Test,
  service: string,
  environment: Environment,
  outcome: Outcome,
): Promise<TestProcess> {
  const started = await startProcess(t, { entry: 'fixture', environment });
  t.match(started.url, 'http', 'a service that is away does not keep the app from starting');
  const expected = outcome === 'up' ? 'up' : 'down';
  const isExpected = async () => (await readHealth(started)).services[service]?.status === expected;
  const isExplained = () =>
    outcome === 'up' || started.lines.some(({ err }) => outcome.test((err as Error)?.message));
  // Polls, because a check may be late or come before the failure.
  await poll(async () => (await isExpected()) && isExplained());
  t.pass(`${service} is ${expected}`);
  return started;
}
