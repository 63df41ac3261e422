import createError from '@fastify/error';
import fp from 'fastify-plugin';
import { type Static, Type } from 'typebox';
import type { BackingAppClient } from './client.ts';

export const settings = Type.Object({
  BACKING_APP_URL: Type.Optional(
    Type.String({
      format: 'uri',
      pattern: '^https?://[^/?#]+(/[^?#]*)?$',
      secret: true,
      description: 'Another app with the API of this one; not attached when not set',
      expected: 'an http:// or https:// URL without a query',
      remedy:
        'Set BACKING_APP_URL=https://host/base, ' +
        'with user:password@ before the host if it needs them',
    }),
  ),
});

declare module '../env/index.ts' {
  interface Config extends Static<typeof settings> {}
}

declare module 'fastify' {
  interface FastifyInstance {
    backingApp: Pick<BackingAppClient, 'get'>;
  }
}

const NotAttached = createError('BACKING_APP_NOT_ATTACHED', 'BACKING_APP_URL is not set', 503);
const LoopDetected = createError('LOOP_DETECTED', 'The request came from this app itself', 508);

/** Another app as `app.backingApp`: an app is a backing service of another (twelve-factor VII). */
export default fp(
  async (app) => {
    const { BACKING_APP_URL, REQUEST_TIMEOUT_MS } = app.config;
    if (!BACKING_APP_URL)
      return void app.decorate('backingApp', { get: () => Promise.reject(new NotAttached()) });

    const { BackingAppClient } = await import('./client.ts');
    // Less than REQUEST_TIMEOUT_MS, so that there is time to answer 504.
    const timeoutMs = Math.ceil(REQUEST_TIMEOUT_MS * 0.8);
    const client = new BackingAppClient(new URL(BACKING_APP_URL), timeoutMs);
    app.decorate('backingApp', client);
    const check = () => client.ask('/health/live');
    app.readiness.attach({ name: 'backing-app', required: false, check });
    // An app that is attached to itself, even through other apps, would send requests forever.
    app.addHook('onRequest', async ({ headers }) => {
      if (headers.via?.includes(client.pseudonym)) throw new LoopDetected();
    });
    app.addHook('onClose', () => client.pool.destroy());
  },
  { name: 'backing-app', dependencies: ['readiness', 'errors', 'validation'] },
);
