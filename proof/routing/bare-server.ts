import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import http from 'node:http';
import net from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

/**
 * The control: node:http alone, which drains like the app. A request lost here too is lost by the
 * router, TCP or Node.
 */
const { PORT, SHUTDOWN_DELAY_MS } = process.env;

/** The app's time for a last request on remaining connections, in milliseconds. */
const LINGER_MS = 500;

let draining = false;

const server = http.createServer({ keepAliveTimeout: 125_000 }, async (request, response) => {
  if (draining) response.setHeader('connection', 'close');
  for await (const _chunk of request);
  if (request.url === '/health/ready') return void response.writeHead(draining ? 503 : 200).end();
  // The duration of a query.
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
  // Closes the listener alone: http's close() also ends connections without a request yet.
  net.Server.prototype.close.call(server);
  await Promise.race([closed, sleep(LINGER_MS)]);
  server.close();
  await closed;
  process.exit(0);
});
