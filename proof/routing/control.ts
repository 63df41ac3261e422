import path from 'node:path';
import { readAnswers } from './ledger.ts';
import { restartInTurn } from './rolling-restart.ts';
import type { RouterName } from './router.ts';
import type { Program } from './web.ts';

interface Control {
  router: RouterName;
  what: string;
  change(configuration: string): string;
}

/** Routers without the setting that prevents lost requests. */
const CONTROLS: Control[] = [
  {
    router: 'nginx',
    what: 'without a monitor',
    change: (text) =>
      text
        .replace(/location = \/health\/ready \{[^}]*\}/, '')
        .replaceAll('max_fails=1', 'max_fails=0'),
  },
  {
    router: 'caddy',
    what: 'with round_robin',
    change: (text) => text.replace('lb_policy least_conn', 'lb_policy round_robin'),
  },
];

/**
 * Prints the losses behind worse configured routers, with a bare server and with the app. It is a
 * measurement and cannot fail.
 */
export async function measureControls(apps: [Program, Program], restarts: number): Promise<void> {
  const bare = apps.map((app) => ({
    ...app,
    args: [path.join(import.meta.dirname, 'bare-server.ts')],
  }));
  const programs = { 'a bare server': bare as [Program, Program], 'the app': apps };
  for (const { router, what, change } of CONTROLS) {
    for (const [name, pair] of Object.entries(programs)) {
      const prefix = `control.${router}.${name.replaceAll(' ', '-')}`;
      const { attempts } = await restartInTurn({
        router,
        programs: pair,
        restarts,
        signalsAtMs: [0],
        prefix,
        change,
      });
      const { refused, unanswered } = readAnswers(attempts);
      const counts = [
        `${attempts.length} requests`,
        `${refused.length} other than 2xx`,
        `${unanswered.length} unanswered`,
      ].join(', ');
      console.log(`control ${name} behind ${router} ${what}: ${restarts} restarts, ${counts}`);
    }
  }
}
