import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { chown, readdir } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import pg from 'pg';
import { findPort, makeFolder, pickUser, RunningProcess } from './processes.ts';

const execute = promisify(execFile);

/** Debian's folder of PostgreSQL's programs, which are not on the PATH. */
const DEBIAN = '/usr/lib/postgresql';

/** A temporary PostgreSQL server on loopback. Disposing ends it. */
export class PostgresServer implements AsyncDisposable {
  readonly url: string;
  readonly #programs: string;
  readonly #folder: string;
  readonly #port: number;
  #server: RunningProcess | undefined;

  private constructor(programs: string, folder: string, port: number) {
    this.#programs = programs;
    this.#folder = folder;
    this.#port = port;
    this.url = `postgres://proof@127.0.0.1:${port}/postgres`;
  }

  /** Creates a server with an empty database and starts it. */
  static async create(): Promise<PostgresServer> {
    const programs = await findPrograms();
    const folder = await makeFolder('postgres');
    const user = pickUser();
    if (user) await chown(folder, user.uid, user.gid);
    const args = [
      '-D',
      path.join(folder, 'data'),
      '-U',
      'proof',
      '-A',
      'trust',
      '-E',
      'UTF8',
      '--locale',
      'C',
    ];
    await execute(path.join(programs, 'initdb'), args, { cwd: folder, env: {}, ...user });
    const server = new PostgresServer(programs, folder, await findPort());
    await server.start();
    return server;
  }

  /** Starts the server, also after kill(), and resolves when it answers. */
  async start(): Promise<void> {
    const settings = [
      'listen_addresses=127.0.0.1',
      'unix_socket_directories=',
      'max_connections=200',
    ];
    const args = [
      '-D',
      path.join(this.#folder, 'data'),
      '-p',
      `${this.#port}`,
      ...settings.flatMap((s) => ['-c', s]),
    ];
    const user = pickUser();
    this.#server = new RunningProcess(path.join(this.#programs, 'postgres'), args, {
      folder: this.#folder,
      user,
    });
    await this.#server.waitForLine('database system is ready to accept connections');
  }

  /** Sends SIGKILL to the server and to the processes of its connections. */
  async kill(): Promise<void> {
    const { stdout } = await execute('ps', ['-A', '-o', 'pid=,ppid=']);
    const processes = stdout
      .trim()
      .split('\n')
      .map((line) => line.trim().split(/\s+/).map(Number));
    const children = processes
      .filter(([, parent]) => parent === this.#server?.pid)
      .map(([pid]) => pid!);
    this.#server?.signal('SIGKILL');
    for (const pid of children) killIfThere(pid);
    await this.#server?.ended;
  }

  /** Runs one statement on a new connection. */
  async query<Row extends pg.QueryResultRow>(text: string, values: unknown[] = []): Promise<Row[]> {
    const client = new pg.Client({ connectionString: this.url });
    await client.connect();
    return client
      .query<Row>(text, values)
      .then(({ rows }) => rows)
      .finally(() => client.end());
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#server || this.#server.hasEnded) return;
    // SIGINT is a fast shutdown; SIGTERM would wait for the clients.
    this.#server.signal('SIGINT');
    await this.#server.ended;
  }
}

async function findPrograms(): Promise<string> {
  const onPath = (process.env.PATH ?? '').split(path.delimiter);
  const versions = await readdir(DEBIAN).catch(() => []);
  const debian = versions
    .sort((a, b) => Number(b) - Number(a))
    .map((version) => path.join(DEBIAN, version, 'bin'));
  const folder = [...debian, ...onPath].find((candidate) =>
    existsSync(path.join(candidate, 'initdb')),
  );
  if (!folder) throw new Error('PostgreSQL is not installed: apt-get install postgresql');
  return folder;
}

function killIfThere(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // The process has ended together with its server.
  }
}
