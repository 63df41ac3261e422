import { Redis } from 'ioredis';
import type { Leak, Leaks } from '../leaks.ts';

/** Nothing listens on this port. */
const CLOSED = '127.0.0.1:1';

/** Commands that fail with the secret as an argument. */
const COMMANDS: [string, ...string[]][] = [
  ['AUTH', 'SECRET'],
  ['AUTH', 'default', 'SECRET', 'more'],
  ['HELLO', '3', 'AUTH', 'nobody', 'SECRET'],
  ['LPUSH', 'text', 'SECRET'],
  ['EVAL', 'return redis.error_reply("failed")', '0', 'SECRET'],
  ['UNKNOWN', 'SECRET'],
  ['UNKNOWN', 'first', 'SECRET'],
  ['SET', 'text', 'SECRET', 'XX', 'NX'],
];

/** Errors and objects of ioredis. */
export const redisLeaks: Leaks = {
  ...Object.fromEntries(
    COMMANDS.map((words): [string, Leak] => [
      words.join(' '),
      (secret, { redisUrl }) => command(words, secret, redisUrl),
    ]),
  ),
  'options of a client': (secret) => ({
    redis: new Redis(`redis://:${secret}@${CLOSED}`, { lazyConnect: true }).options,
  }),
  'a URL with a closed port': async (secret) => {
    const redis = new Redis(`redis://:${secret}@${CLOSED}`, {
      lazyConnect: true,
      retryStrategy: () => null,
    });
    redis.on('error', () => undefined);
    await redis.connect();
  },
};

async function command([name, ...args]: string[], secret: string, url: string): Promise<unknown> {
  const redis = new Redis(url);
  try {
    await redis.set('text', 'text');
    return await redis.call(name!, ...args.map((arg) => (arg === 'SECRET' ? secret : arg)));
  } finally {
    redis.disconnect();
  }
}
