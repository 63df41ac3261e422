// Rolling restarts and refused uploads behind HAProxy, nginx, Apache and Caddy: no request lost
import assert from 'node:assert/strict';
import { parseArgs } from 'node:util';
import { buildApp } from '../build.ts';
import { PostgresServer } from '../postgres.ts';
import { findPort } from '../processes.ts';
import type { Tally } from '../tally.ts';
import { measureControls } from './control.ts';
import { type Balance, settle } from './ledger.ts';
import type { Attempt } from './load.ts';
import { type Outcome, restartInTurn } from './rolling-restart.ts';
import { ROUTER_NAMES, type RouterName } from './router.ts';
import { proveRefusedUploads } from './uploads.ts';
import { type Program, release } from './web.ts';

interface Variant {
  name: string;
  environment: Record<string, string>;
  signalsAtMs: number[];
}

/**
 * SHUTDOWN_DELAY_MS is below its default of 3000, because the routers check readiness every 100 ms
 * instead of every second. Three signals all arrive while the process still serves.
 */
const VARIANTS: Variant[] = [
  { name: 'one process', environment: { SHUTDOWN_DELAY_MS: '500' }, signalsAtMs: [0] },
  {
    name: 'WEB_CONCURRENCY=2',
    environment: { SHUTDOWN_DELAY_MS: '500', WEB_CONCURRENCY: '2' },
    signalsAtMs: [0],
  },
  { name: 'three SIGTERMs', environment: { SHUTDOWN_DELAY_MS: '800' }, signalsAtMs: [0, 300, 600] },
];

/**
 * Arguments: names of routers, to run these alone. Flags: --restarts N (20); --control shows
 * instead what a bare server loses behind worse configured routers.
 */
export async function prove(tally: Tally, flags: string[]): Promise<void> {
  const { values, positionals } = parseArgs({
    args: flags,
    allowPositionals: true,
    options: { restarts: { type: 'string', default: '20' }, control: { type: 'boolean' } },
  });
  const restarts = Number(values.restarts);
  await using postgres = await PostgresServer.create();
  await release(postgres.url);
  if (values.control)
    return await measureControls(await preparePrograms(postgres, VARIANTS[0]!), restarts);
  const routers = ROUTER_NAMES.filter(
    (name) => positionals.length === 0 || positionals.includes(name),
  );
  for (const router of routers) {
    await tally.check(`Refused uploads behind ${router} get the answer of the app`, async () =>
      proveRefusedUploads(router, await preparePrograms(postgres, VARIANTS[0]!)),
    );
    for (const variant of VARIANTS) {
      await tally.check(
        `contract 15: Rolling restarts behind ${router} lose no request, ${variant.name}`,
        () => proveVariant(router, variant, restarts, postgres),
      );
    }
  }
}

/** Two processes of the built app, with these variables alone. */
async function preparePrograms(
  { url }: PostgresServer,
  { environment }: Variant,
): Promise<[Program, Program]> {
  const folder = buildApp();
  const prepare = async () => {
    const settings = {
      HOST: '127.0.0.1',
      PORT: `${await findPort()}`,
      DATABASE_URL: url,
      RATE_LIMIT_MAX: '0',
    };
    return { args: ['dist/src/web.js'], folder, environment: { ...settings, ...environment } };
  };
  return [await prepare(), await prepare()];
}

/** @returns the counts */
async function proveVariant(
  router: RouterName,
  variant: Variant,
  restarts: number,
  postgres: PostgresServer,
): Promise<string> {
  const startedAt = performance.now();
  const programs = await preparePrograms(postgres, variant);
  const prefix = `${router}.${variant.name}`.replaceAll(/[^\w.]/g, '-');
  const outcome = await restartInTurn({
    router,
    programs,
    restarts,
    signalsAtMs: variant.signalsAtMs,
    prefix,
  });
  const balance = await settle(outcome.attempts, postgres);
  const counts = describe(outcome, balance);
  const failures = [
    ...balance.refused,
    ...balance.unanswered,
    ...balance.lost,
    ...balance.doneTwice,
  ];
  assert.equal(failures.length, 0, `${counts}\n${explain(failures, outcome)}`);
  assert.equal(balance.doneAnyway.length, 0, counts);
  assert.ok(balance.acknowledged.length > restarts, `There was no load: ${counts}`);
  const seconds = ((performance.now() - startedAt) / 1_000).toFixed();
  return `${restarts} restarts in ${seconds} s, ${counts}`;
}

function describe({ attempts }: Outcome, balance: Balance): string {
  const { acknowledged, refused, unanswered, lost, doneTwice } = balance;
  return [
    `${attempts.length} requests`,
    `${acknowledged.length} POSTs acknowledged`,
    `${refused.length} other than 2xx`,
    `${unanswered.length} unanswered`,
    `${lost.length} lost`,
    `${doneTwice.length} done twice`,
  ].join(', ');
}

/** Describes the first failures, with the app's and the router's log lines around them. */
function explain(failures: Attempt[], { appLines, routerLines }: Outcome): string {
  const lines = failures.slice(0, 5).flatMap((attempt) => {
    const { method, path, requestId, sentAt, status, error } = attempt;
    const logged = appLines.filter((line) => line.includes(`"${requestId}"`));
    return [
      `${new Date(sentAt).toISOString()} ${method} ${path} ${requestId}: ${status ?? error}`,
      ...logged,
    ];
  });
  return [...lines, ...routerLines.slice(-10)].join('\n');
}
