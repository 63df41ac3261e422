/** What is done with a command of the documentation. An unknown command fails the proof. */
export type Treatment =
  /** Run to its end; the exit code has to be 0. */
  | { how: 'run' }
  /** Started until it is ready, then stopped. */
  | { how: 'serve' }
  /** Run by another check, for this reason; `says` is how that file runs it. */
  | { how: 'elsewhere'; file: string; says: RegExp; reason: string }
  /** Not run: it needs an account. The blocks of such commands are marked `sh platform`. */
  | { how: 'platform' };

const run = { how: 'run' } as const;
const serve = { how: 'serve' } as const;
const platform = { how: 'platform' } as const;

/** Copies share the packages of the original. */
const PACKAGES = 'it would change the shared packages';
/** .ci/run runs these from a fresh clone, because they take minutes. */
const LONG = 'it takes minutes, on a fresh clone';

const inCi = (says: RegExp, reason: string) =>
  ({ how: 'elsewhere', file: '.ci/run', says, reason }) as const;
const inTest = (file: string, says: RegExp) =>
  ({ how: 'elsewhere', file, says, reason: 'it has a test' }) as const;
const inUpdating = {
  how: 'elsewhere',
  file: 'proof/updating/index.ts',
  says: /docs\/updating\.md/,
  reason: 'it needs two versions',
} as const;

/** The first match counts. */
export const TREATMENTS: [RegExp, Treatment][] = [
  [/^npm ci( --include=dev)?$/, inCi(/^npm ci$/m, PACKAGES)],
  [/^npm test$/, inCi(/^twice npm test$/m, LONG)],
  [/^npm test -- test\/[\w/]+\.test\.ts$/, run],
  [/^npm run test:watch$/, inTest('proof/contract/test-script.test.ts', /test:watch/)],
  [/^npm run dev -- --inspect$/, inTest('proof/contract/dev-parents.test.ts', /--inspect/)],
  [
    /^npm run proof (routing|bench|soak)( -- --only \w+)?$/,
    {
      how: 'elsewhere',
      file: 'proof/{routing,bench,soak}/index.ts',
      says: /export async function prove\(/,
      reason: 'it takes many minutes, and is run by hand',
    },
  ],
  [/^npm run (token|job seed)$/, run],
  [
    /^(npm run job|node dist\/src\/job\.js)( .+)?$/,
    inTest('proof/contract/jobs.test.ts', /entry: 'job'/),
  ],
  [/^(npm run console|node dist\/src\/console\.js)$/, run],
  [/^npm run db:reset$/, inTest('test/scripts/db-reset.test.ts', /npm run db:reset/)],
  [/^npm run new resource$/, inTest('proof/contract/new-resource.test.ts', /npm run new resource/)],
  [/^npm run$/, run],
  [
    /^npm ci --ignore-scripts$/,
    { how: 'elsewhere', file: 'proof/buildpack/*.ts', says: /ignore-scripts/, reason: PACKAGES },
  ],
  [/^npm rebuild node$/, inTest('test/scripts/check-node.test.ts', /npm rebuild node/)],
  [/^npm run new( app.*)?$/, inTest('proof/contract/new-app.test.ts', /'app', /)],
  [
    /^npm run check$/,
    inCi(/^twice npm test$(.*\n)*npm run lint\nnpm run typecheck$/m, 'its parts run there'),
  ],
  [/^npm run test:services$/, inCi(/^twice npm run test:services$/m, LONG)],
  [
    /^npm prune --omit=dev$/,
    { how: 'elsewhere', file: 'proof/buildpack/*.ts', says: /\bprune\b/, reason: PACKAGES },
  ],
  [/^npm install$/, { ...inUpdating, reason: PACKAGES }],
  [/^npm (run dev|(run )?start)$/, serve],
  [/^node dist\/src\/web\.js$/, serve],
  [/^node dist\/src\/release\.js$/, run],
  [/^node dist\/src\/worker\.js$/, inTest('proof/contract/jobs.test.ts', /entry: 'worker'/)],
  [/^npm run (build|release|format|proof|new resource \w+|-s token alice notes:write)$/, run],
  [
    /^(git rm -r|npm uninstall) /,
    {
      how: 'elsewhere',
      file: 'proof/removal/index.ts',
      says: /readRemovals/,
      reason: 'it removes a part',
    },
  ],
  [/^git push /, platform],
  [/^git /, inUpdating],
  [/^(heroku|dokku|scalingo|railway|fly|cf|gcloud|doctl|eb|clever|caprover) /, platform],
];

/** The first word of a command in a sentence or a table. */
const PROGRAMS =
  /^(npm|npx|node|git|heroku|dokku|scalingo|railway|fly|cf|gcloud|doctl|eb|clever|caprover) ./;

export function isCommand(code: string): boolean {
  return PROGRAMS.test(code);
}

/** Splits a shell line into commands. */
export function splitLine(line: string): string[] {
  return line.split(' && ').map((command) => command.trim());
}

export function findTreatment(command: string): Treatment | undefined {
  return TREATMENTS.find(([pattern]) => pattern.test(command))?.[1];
}

/** Finds the treatments that match no command of the documentation. */
export function findUnused(commands: string[]): string[] {
  const unused = TREATMENTS.filter(
    ([pattern]) => !commands.some((command) => pattern.test(command)),
  );
  return unused.map(([pattern]) => String(pattern));
}
