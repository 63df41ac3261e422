import type { AddressInfo } from 'node:net';
import { connect } from 'node:net';
import { text } from 'node:stream/consumers';
import { test } from 'tap';
import { buildAppWithRoutes } from '../helper.ts';

const ROUTES = `
  import { createWriteStream } from 'node:fs';
  import { pipeline } from 'node:stream/promises';

  export default async (app) => {
    app.addContentTypeParser('text/csv', (request, payload, done) => done(null, payload));
    app.post('/limited', async ({ body }, reply) => {
      for await (const chunk of body) return reply.code(413).send({ chunk: typeof chunk });
    });
    app.post('/stored', async ({ body }) => pipeline(body, createWriteStream('/nowhere/file')));
  };
`;

const BODY = Buffer.alloc(500_000, 'a');

test('A handler may stop reading its body, and a failure to store it is a 500', async (t) => {
  const { app, lines } = await buildAppWithRoutes(t, ROUTES);
  await app.listen({ host: '127.0.0.1', port: 0 });
  const { port } = app.server.address() as AddressInfo;
  const ask = async (path: string) => {
    const socket = connect(port, '127.0.0.1').on('error', () => undefined);
    const head = `POST ${path} HTTP/1.1\r\nHost: a\r\nContent-Type: text/csv\r\nConnection: close`;
    socket.write(`${head}\r\nContent-Length: ${BODY.length}\r\n\r\n`);
    socket.write(BODY);
    return await text(socket);
  };
  for (let count = 0; count < 3; count++) {
    t.match(await ask('/limited'), /^HTTP\/1\.1 413 /);
    t.match(await ask('/stored'), /^HTTP\/1\.1 500 /);
  }
  const stored = lines.findLast(({ path }) => path === '/stored');
  t.match(stored, { level: 50, path: '/stored', err: { code: 'ENOENT' } });
});
