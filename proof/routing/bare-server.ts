import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import http from 'node:http';
import net from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

/**
 * The control: node:http and nothing else, with the same draining as the app. What is lost behind a
 * router with this server too is lost by the router, or by what TCP and Node leave to chance.
 */
const { PORT, SHUTDOWN_DELAY_MS } = process.env;

/**
 * As long as the app waits for a last request on the connections that are left, in milliseconds.
 */
const LINGER_MS = 500;

let draining = false;

const server = http.createServer({ keepAliveTimeout: 125_000 }, async (request, response) => {
  if (draining) response.setHeader('connection', 'close');
  for await (const _chunk of request);
  if (request.url === '/health/ready') return void response.writeHead(draining ? 503 : 200).end();
  // As long as a query takes.
  await sleep(2);
  response.writeHead(request.method === 'POST' ? 201 : 200, { 'content-type': 'application/json' });
  response.end(JSON.stringify({ id: randomUUID() }));
  console.log(request.headers['x-request-id']);
});

server.listen(Number(PORT), '127.0.0.1');

process.once('SIGTERM', async () => {
  draining = true;
  await sleep(Number(SHUTDOWN_DELAY_MS));
  const closed = once(server, 'close');
  // Not http's own close(): it cuts the connections on which no request has come yet.
  net.Server.prototype.close.call(server);
  await Promise.race([closed, sleep(LINGER_MS)]);
  server.close();
  await closed;
  process.exit(0);
});
