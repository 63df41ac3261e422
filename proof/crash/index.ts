// SIGKILL at random moments: no acknowledged write is lost, the embedded database opens again
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { buildApp } from '../build.ts';
import { PostgresServer } from '../postgres.ts';
import { findPort, makeFolder, RunningProcess } from '../processes.ts';
import { Load } from '../routing/load.ts';
import { type Program, release, startProgram } from '../routing/web.ts';
import type { Tally } from '../tally.ts';
import { Ledger, listTitles } from './ledger.ts';

/** The maximum time that a process writes before it is killed, in milliseconds. */
const WRITE_MS = 300;

/** The maximum time that a process opens its database before it is killed, in milliseconds. */
const OPEN_MS = 1_500;

/** Each fourth round kills the process while it opens the database. */
const OPENING_EVERY = 4;

/** How often the process is killed while it creates the embedded database. */
const CREATIONS = 3;

/** Flags: --rounds N (100) for the embedded database; a fifth of that for PostgreSQL. */
export async function prove(tally: Tally, flags: string[]): Promise<void> {
  const { values } = parseArgs({
    args: flags,
    options: { rounds: { type: 'string', default: '100' } },
  });
  const rounds = Number(values.rounds);
  // Most of the time is starting, which does not fill two processors.
  await Promise.all([
    tally.check('SIGKILL of the app on the embedded database loses no acknowledged write', () =>
      proveEmbedded(rounds),
    ),
    tally.check('contract 14: SIGKILL of the app on PostgreSQL loses no acknowledged write', () =>
      provePostgres(Math.ceil(rounds / 5)),
    ),
    tally.check('SIGKILL of PostgreSQL loses no acknowledged write', () =>
      proveServer(Math.ceil(rounds / 20)),
    ),
  ]);
}

async function proveEmbedded(rounds: number): Promise<string> {
  const program = await prepareProgram(
    `pglite:${path.join(await makeFolder('crash'), 'postgres')}`,
  );
  for (let creation = 0; creation < CREATIONS; creation++) await killWhileOpening(program);
  const ledger = new Ledger();
  let opened = 0;
  for (let round = 1; round <= rounds; round++) {
    if (round % OPENING_EVERY === 0) await killWhileOpening(program);
    await killWhileWriting(program, `embedded.${round}`, ledger, listTitles);
    opened++;
  }
  await using last = await startProgram(program);
  ledger.compare(await listTitles(readUrl(program)));
  last.signal('SIGTERM');
  return `opened again ${opened} times of ${rounds}, ${ledger.size} acknowledged writes, none lost`;
}

async function provePostgres(rounds: number): Promise<string> {
  await using postgres = await PostgresServer.create();
  await release(postgres.url);
  const program = await prepareProgram(postgres.url);
  const ledger = new Ledger();
  const readTitles = () => queryTitles(postgres);
  for (let round = 1; round <= rounds; round++)
    await killWhileWriting(program, `app.${round}`, ledger, readTitles);
  ledger.compare(await readTitles());
  return `${rounds} times, ${ledger.size} acknowledged writes, none lost`;
}

/** Kills the server under a running app, which has to reconnect by itself. */
async function proveServer(rounds: number): Promise<string> {
  await using postgres = await PostgresServer.create();
  await release(postgres.url);
  const program = await prepareProgram(postgres.url);
  await using app = await startProgram(program);
  const ledger = new Ledger();
  for (let round = 1; round <= rounds; round++) {
    const load = new Load(readUrl(program), `server.${round}`);
    await load.waitForWrite();
    await sleep(Math.random() * WRITE_MS);
    await postgres.kill();
    await postgres.start();
    await load.waitForWrite();
    await load.stop();
    ledger.enter(load.attempts);
    ledger.compare(await queryTitles(postgres));
  }
  app.signal('SIGTERM');
  return `${rounds} times, ${ledger.size} acknowledged writes, none lost`;
}

async function prepareProgram(databaseUrl: string): Promise<Program> {
  const settings = {
    HOST: '127.0.0.1',
    PORT: `${await findPort()}`,
    DATABASE_URL: databaseUrl,
    RATE_LIMIT_MAX: '0',
  };
  return { args: ['dist/src/web.js'], folder: buildApp(), environment: settings };
}

/** Checks the writes of earlier rounds, then kills the process while clients write more. */
async function killWhileWriting(
  program: Program,
  prefix: string,
  ledger: Ledger,
  readTitles: (url: string) => Promise<string[]>,
): Promise<void> {
  await using app = await startProgram(program);
  ledger.compare(await readTitles(readUrl(program)));
  const load = new Load(readUrl(program), prefix);
  await load.waitForWrite();
  await sleep(Math.random() * WRITE_MS);
  app.signal('SIGKILL');
  await load.stop();
  await app.ended;
  ledger.enter(load.attempts);
}

async function killWhileOpening({ args, folder, environment }: Program): Promise<void> {
  await using app = new RunningProcess(process.execPath, args, { folder: folder!, environment });
  await sleep(Math.random() * OPEN_MS);
  app.signal('SIGKILL');
  await app.ended;
}

function readUrl({ environment }: Program): string {
  return `http://127.0.0.1:${environment.PORT}`;
}

async function queryTitles(postgres: PostgresServer): Promise<string[]> {
  const rows = await postgres.query<{ title: string }>('select title from notes');
  return rows.map(({ title }) => title);
}
