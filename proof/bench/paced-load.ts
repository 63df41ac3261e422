// Asks one URL at a steady rate, whatever the answers do, and prints each latency in milliseconds, as JSON.
// autocannon's rate is no such rate: it sends a second's requests at once.
import http from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';

const [url = '', rate = '', seconds = ''] = process.argv.slice(2);
const agent = new http.Agent({ keepAlive: true, maxSockets: 256 });
const latencies: number[] = [];
const total = Number(rate) * Number(seconds);
const startedAt = performance.now();
const asked: Promise<void>[] = [];

while (asked.length < total) {
  const due = Math.min(total, ((performance.now() - startedAt) / 1_000) * Number(rate));
  while (asked.length < due) asked.push(ask());
  await sleep(1);
}
await Promise.all(asked);
agent.destroy();
console.log(JSON.stringify(latencies));

function ask(): Promise<void> {
  const sentAt = performance.now();
  return new Promise((resolve, reject) => {
    http
      .get(url, { agent }, (response) => {
        response.resume();
        response.once('end', () => {
          latencies.push(performance.now() - sentAt);
          resolve();
        });
      })
      .once('error', reject);
  });
}
