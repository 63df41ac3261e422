import type { Test } from 'tap';
import { type Environment, poll, startProcess, type TestProcess } from '../helper.ts';

/** What an attached service comes to: it answers, or it is away for this reason. */
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
 * Starts the app, with the routes of test/fixture, with this environment and checks what readiness
 * and the log say of the service.
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
  // Asked again where a check was late, or came before the service had failed.
  await poll(async () => (await isExpected()) && isExplained());
  t.pass(`${service} is ${expected}`);
  return started;
}
