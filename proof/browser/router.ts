import { chmod, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { findPort, isOpen, makeFolder, pickUser, RunningProcess } from '../processes.ts';

/** nginx in front of the app, at / and at /api/, without a header about the prefix. */
interface Router extends AsyncDisposable {
  url: string;
  prefixed: string;
}

/** Starts nginx and waits until it accepts connections. */
export async function startRouter(app: number): Promise<Router> {
  const folder = await makeFolder('nginx');
  await chmod(folder, 0o777);
  const port = await findPort();
  const file = path.join(folder, 'nginx.conf');
  await writeFile(file, describe(folder, port, app));
  const environment = { PATH: `${process.env.PATH}:/usr/sbin` };
  const nginx = new RunningProcess('nginx', ['-c', file], { environment, user: pickUser() });
  while (!(await isOpen(port))) {
    if (nginx.hasEnded) throw new Error(`nginx did not start:\n${nginx.lines.join('\n')}`);
    await sleep(50);
  }
  const url = `http://127.0.0.1:${port}/`;
  return { url, prefixed: `${url}api/`, [Symbol.asyncDispose]: () => nginx[Symbol.asyncDispose]() };
}

function describe(folder: string, port: number, app: number): string {
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'];
  return `
    daemon off;
    pid ${folder}/nginx.pid;
    error_log stderr warn;
    events {}
    http {
      access_log off;
      ${temporary.map((name) => `${name}_temp_path ${folder}/${name};`).join('\n')}
      server {
        listen 127.0.0.1:${port};
        location / { proxy_pass http://127.0.0.1:${app}; }
        location /api/ { proxy_pass http://127.0.0.1:${app}/; }
      }
    }
  `;
}
