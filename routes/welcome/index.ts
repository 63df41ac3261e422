import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import { type Static, Type } from 'typebox';
import manifest from '../../package.json' with { type: 'json' };
import { addVary } from '../../src/every-answer.ts';
import { contentSecurityPolicy, renderWelcomePage } from './page.ts';

const Welcome = Type.Object(
  {
    name: Type.String({ examples: [manifest.name] }),
    version: Type.String({ examples: [manifest.version] }),
    docs: Type.Optional(Type.String({ description: "The API's page", examples: ['/docs'] })),
    health: Type.String({ description: 'Whether the app can serve', examples: ['/health/ready'] }),
  },
  { description: 'Where to go from here' },
);

/** GET / itself: the folder's name is not part of the URL. */
export const prefixOverride = '';

/** A page for a browser, JSON for everybody else. */
const welcome: FastifyPluginAsyncTypebox = async (app) => {
  const answer: Static<typeof Welcome> = {
    name: manifest.name,
    version: manifest.version,
    health: '/health/ready',
  };
  // All routes are known now, those of files that are loaded later too.
  app.addHook('onReady', async () => {
    if (app.hasRoute({ method: 'GET', url: '/docs' })) answer.docs = '/docs';
  });
  app.get(
    '/',
    { schema: { summary: 'Say what this is', tags: ['welcome'], response: { 200: Welcome } } },
    async ({ headers }, reply) => {
      addVary(reply, 'accept');
      if (!headers.accept?.includes('text/html')) return answer;
      reply
        .type('text/html; charset=utf-8')
        .headers(app.pageHeaders)
        .header('content-security-policy', contentSecurityPolicy);
      reply.serializer(String);
      return reply.send(renderWelcomePage(answer) as never);
    },
  );
};

export default welcome;
