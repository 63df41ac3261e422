import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { builtApp, type Contestant } from './contestants.ts';
import { runLoad } from './load.ts';
import type { Setting } from './measurements.ts';
import { measureRounds, pick, type Result } from './rounds.ts';
import { Server } from './server.ts';

const NONE = 'no collector';

/** Measures the built app with a collector, sampled at 1 and at 0.01, and without one. */
export async function measureTelemetry({ rounds, seconds, postgres }: Setting): Promise<Result[]> {
  const collector = createServer((request, response) => {
    request.resume().once('end', () => response.end());
  });
  // A failed measurement leaves the collector open, which must not keep the process running.
  collector.unref();
  await new Promise<void>((resolve) => void collector.listen(0, '127.0.0.1', resolve));
  const endpoint = `http://127.0.0.1:${(collector.address() as AddressInfo).port}`;
  const contestants = [
    builtApp(postgres.url, { name: NONE }),
    attach(builtApp(postgres.url, { name: 'sampled at 0.01' }), endpoint, '0.01'),
    attach(builtApp(postgres.url, { name: 'sampled at 1' }), endpoint, '1'),
  ];
  const measured = await measureRounds(rounds, contestants, async (contestant) => {
    await using server = await Server.start(contestant);
    const boot = server.usage;
    const home = await runLoad(server, { path: '/' }, seconds);
    const notes = await runLoad(server, { path: '/notes' }, seconds);
    return { boot, home, notes };
  });
  collector.close();
  const time = { unit: 'µs', decimals: 1, baseline: NONE };
  const describe = (title: string, page: 'home' | 'notes') => ({
    ...time,
    title: `${title}, processor time`,
    rounds: pick(measured, (figures) => (figures[page].processorTime ?? Number.NaN) * 1e6),
  });
  return [
    describe('GET / with telemetry', 'home'),
    describe('GET /notes with telemetry', 'notes'),
    {
      title: 'Boot with telemetry, processor time',
      unit: 'ms',
      decimals: 0,
      baseline: NONE,
      rounds: pick(measured, ({ boot }) => (boot?.processorTime ?? Number.NaN) * 1_000),
    },
    {
      title: 'Memory with telemetry, idle',
      unit: 'MiB',
      decimals: 0,
      baseline: NONE,
      rounds: pick(measured, ({ boot }) => boot?.memory),
    },
  ];
}

function attach(contestant: Contestant, endpoint: string, ratio: string): Contestant {
  const environment = {
    ...contestant.environment,
    OTEL_EXPORTER_OTLP_ENDPOINT: endpoint,
    OTEL_TRACES_SAMPLER: 'parentbased_traceidratio',
    OTEL_TRACES_SAMPLER_ARG: ratio,
  };
  return { ...contestant, environment };
}
