import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { type Test, test } from 'tap';
import { bind } from '../../src/bind.ts';
import type { Listener } from '../../src/process.ts';

type Listen = Listener['listen'];

/** A minimal listener. */
function createListener(listen: Listen): Listener {
  return {
    listen,
    announceClose: () => undefined,
    close: async () => undefined,
    openRequests: () => [],
  };
}

/** A listener that fails with this code. */
function createFailingListener(code: string): Listener {
  return createListener(async () => Promise.reject(Object.assign(new Error(code), { code })));
}

function openPort(t: Test): Listen {
  return async (address) => {
    const server = createServer();
    t.teardown(() => server.close());
    await once(server.listen(address), 'listening');
  };
}

async function readError(listener: Listener, host: string, port: number): Promise<Error> {
  return bind(listener, host, port).then(
    () => new Error('bound'),
    (error) => error,
  );
}

test('Listening on a taken port fails with the way to fix it', async (t) => {
  const other = createServer();
  t.teardown(() => other.close());
  await once(other.listen(0, '127.0.0.1'), 'listening');
  const { port } = other.address() as AddressInfo;
  const error = await readError(createListener(openPort(t)), '127.0.0.1', port);
  t.match(error, { name: 'OperatorError', cause: { code: 'EADDRINUSE' } });
  t.match(
    error.message,
    new RegExp(`^Port ${port} is taken by another process\\. Stop it, or set PORT`),
  );
  t.notMatch(error.message, 'AirPlay');
});

test("A taken port 5000 fails and names macOS's AirPlay Receiver", async (t) => {
  const { message } = await readError(createFailingListener('EADDRINUSE'), '::', 5000);
  t.match(message, /^Port 5000 is taken by another process \(on macOS .*AirPlay.*PORT=5001\.$/);
});

test('A taken port 65535 fails and proposes no higher port', async (t) => {
  const { message } = await readError(createFailingListener('EADDRINUSE'), '::', 65535);
  t.notMatch(message, '65536');
});

test('Listening on a privileged port fails with the way to fix it', async (t) => {
  const { message } = await readError(createFailingListener('EACCES'), '::', 80);
  t.equal(
    message,
    'Port 80 is privileged and this user may not bind it. Set PORT to one from 1024 on, such as PORT=5000.',
  );
});

test('A HOST that is not an address of this machine fails and is named', async (t) => {
  // 203.0.113.0/24 is reserved for documentation, and .invalid for missing names (RFC 5737, RFC
  // 2606).
  for (const host of ['203.0.113.1', 'nowhere.invalid']) {
    const { message } = await readError(createListener(openPort(t)), host, 0);
    t.match(
      message,
      new RegExp(
        `^HOST is ${host}, which is not an address of this machine \\(\\w+\\)\\. Leave HOST out`,
      ),
    );
  }
});

test('Any other error of listening names its code', async (t) => {
  const { message } = await readError(createFailingListener('EMFILE'), '127.0.0.1', 80);
  t.equal(message, 'Cannot listen on 127.0.0.1, port 80 (EMFILE).');
});

test('Without IPv6, all interfaces are those of IPv4', async (t) => {
  for (const code of ['EAFNOSUPPORT', 'EADDRNOTAVAIL', 'EINVAL']) {
    const hosts: string[] = [];
    const listener = createListener(async ({ host }) => {
      hosts.push(host);
      if (host === '::') throw Object.assign(new Error(code), { code });
    });
    await bind(listener, '::', 5000);
    t.strictSame(hosts, ['::', '0.0.0.0']);
  }
});
