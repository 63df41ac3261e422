import { EventEmitter } from 'node:events';
import type { IncomingMessage } from 'node:http';
import type { FastifyReply } from 'fastify';
import { test } from 'tap';
import { OpenRequests } from '../../src/open-requests.ts';

test('Requests may end in any order, and waitUntilAnswered waits for all', async (t) => {
  const open = new OpenRequests();
  const replies = ['a', 'b', 'c', 'd', 'e'].map((url) => {
    const request = { method: 'GET', url: `/${url}`, headers: {}, socket: {} };
    return { url, raw: new EventEmitter(), request: { raw: request } };
  });
  const ended: string[] = [];
  for (const reply of replies)
    open.track(reply as unknown as FastifyReply, () => ended.push(reply.url));
  const answered = open.waitUntilAnswered();
  for (const url of ['b', 'e', 'a', 'd', 'c']) {
    replies.find((reply) => reply.url === url)?.raw.emit('close');
    const left = replies.filter((reply) => !ended.includes(reply.url));
    t.same(new Set(open.list().map(({ request }) => request)), new Set(left.map(readRaw)));
    for (const reply of replies)
      t.equal(
        readRaw(reply).openRequest?.reply,
        left.find((other) => other === reply),
      );
  }
  await answered;
  t.same(ended, ['b', 'e', 'a', 'd', 'c']);
});

function readRaw({ request }: { request: { raw: unknown } }): IncomingMessage {
  return request.raw as IncomingMessage;
}

test('Finding a request with an Upgrade header takes no longer with 50,000 open', async (t) => {
  const open = new OpenRequests();
  const begin = () => {
    const raw = { headers: { upgrade: 'h2c' }, socket: {} };
    open.track({ raw: new EventEmitter(), request: { raw } } as unknown as FastifyReply, () => {});
    return raw as unknown as IncomingMessage;
  };
  // The fastest of some runs, because a busy machine makes nothing faster.
  const measure = () => {
    const times = Array.from({ length: 10 }, () => {
      const startedAt = performance.now();
      for (let count = 0; count < 1_000; count += 1) void begin().openRequest;
      return performance.now() - startedAt;
    });
    return Math.min(...times);
  };
  const few = measure();
  for (let count = 0; count < 50_000; count += 1) begin();
  t.ok(measure() < few * 20 + 20, 'not slower with more open requests');
});
