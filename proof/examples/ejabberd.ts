import { existsSync, globSync } from 'node:fs';
import { chown, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { findPort, makeFolder, pickUser, RunningProcess } from '../processes.ts';

const SECRET = 'open-sesame';

/**
 * Debian has one folder of ejabberd's modules per architecture. Erlang finds them by this variable.
 */
const LIBRARIES = '/usr/lib/*-linux-gnu/ejabberd-*';

/** A temporary XMPP server on loopback. Disposing ends it. */
export class EjabberdServer implements AsyncDisposable {
  /** The URL for clients. */
  readonly url: string;
  /** The URL for the component. */
  readonly componentUrl: string;
  readonly #api: string;
  readonly #folder: string;
  readonly #libraries: string;
  #server: RunningProcess | undefined;

  private constructor(folder: string, libraries: string, component: string, ports: number[]) {
    const [clients, components, api] = ports;
    this.url = `xmpp://127.0.0.1:${clients}`;
    this.componentUrl = `xmpp://${component}:${SECRET}@127.0.0.1:${components}`;
    this.#api = `http://127.0.0.1:${api}/api`;
    this.#folder = folder;
    this.#libraries = libraries;
  }

  /** Configures a server for the domain localhost and one component, without starting it. */
  static async create(component: string): Promise<EjabberdServer> {
    const libraries = findLibraries();
    const folder = await makeFolder('ejabberd');
    const user = pickUser();
    if (user) await chown(folder, user.uid, user.gid);
    const ports = [await findPort(), await findPort(), await findPort()];
    await writeFile(path.join(folder, 'ejabberd.yml'), configure(component, ports));
    return new EjabberdServer(folder, libraries, component, ports);
  }

  /** Starts the server, also after kill(), and resolves when it listens. */
  async start(): Promise<void> {
    const environment = {
      PATH: process.env.PATH,
      HOME: this.#folder,
      ERL_LIBS: this.#libraries,
      ERL_CRASH_DUMP: path.join(this.#folder, 'crash'),
      EJABBERD_CONFIG_PATH: path.join(this.#folder, 'ejabberd.yml'),
      EJABBERD_LOG_PATH: path.join(this.#folder, 'ejabberd.log'),
    };
    // ejabberdctl works for root and its own user alone, so Erlang is started directly.
    const args = [
      '-noinput',
      '-mnesia',
      'dir',
      `"${path.join(this.#folder, 'data')}"`,
      '-s',
      'ejabberd',
    ];
    this.#server = new RunningProcess('erl', args, {
      folder: this.#folder,
      environment,
      user: pickUser(),
    });
    for (const type of ['c2s', 'service', 'http'])
      await this.#server.waitForLine(`for ejabberd_${type}`);
  }

  /** Sends SIGKILL. */
  async kill(): Promise<void> {
    this.#server?.signal('SIGKILL');
    await this.#server?.ended;
  }

  /** Creates an account of the domain localhost. */
  async register(user: string, password: string): Promise<void> {
    const body = JSON.stringify({ user, host: 'localhost', password });
    const answer = await fetch(`${this.#api}/register`, { method: 'POST', body });
    if (!answer.ok)
      throw new Error(`ejabberd did not register ${user}: ${answer.status} ${await answer.text()}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server?.[Symbol.asyncDispose]();
  }
}

function findLibraries(): string {
  const [folder] = globSync(LIBRARIES);
  if (!folder || !existsSync(folder))
    throw new Error('ejabberd is not installed: apt-get install ejabberd');
  return path.dirname(folder);
}

/** JSON is valid YAML. */
function configure(component: string, [clients, components, api]: number[]): string {
  const ip = '127.0.0.1';
  return JSON.stringify({
    hosts: ['localhost'],
    listen: [
      { ip, port: clients, module: 'ejabberd_c2s' },
      {
        ip,
        port: components,
        module: 'ejabberd_service',
        hosts: { [component]: { password: SECRET } },
      },
      { ip, port: api, module: 'ejabberd_http', request_handlers: { '/api': 'mod_http_api' } },
    ],
    api_permissions: { register: { who: { ip: '127.0.0.0/8' }, what: ['register'] } },
    modules: { mod_disco: {}, mod_http_api: {} },
  });
}
