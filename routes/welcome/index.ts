import { hash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import { type Static, Type } from 'typebox';
import manifest from '../../package.json' with { type: 'json' };
import { addVary } from '../../src/every-answer.ts';

const Welcome = Type.Object(
  {
    name: Type.String({ examples: [manifest.name] }),
    version: Type.String({ examples: [manifest.version] }),
    docs: Type.Optional(Type.String({ description: "The API's page", examples: ['/docs'] })),
    health: Type.String({ description: 'Whether the app is ready', examples: ['/health/ready'] }),
  },
  { description: 'Where to go from here' },
);

const PAGE = readFileSync(new URL('page.html', import.meta.url), 'utf8');
const [, style = ''] = PAGE.split(/<\/?style>/);

/** Allows only the page's own style and icon. The page has no script, and none can be injected. */
const CONTENT_SECURITY_POLICY =
  `default-src 'none';style-src 'sha256-${hash('sha256', style, 'base64')}';` +
  "img-src data:;base-uri 'none';form-action 'none';frame-ancestors 'none'";

/** The route is GET /, so the folder's name is not part of the URL. */
export const prefixOverride = '';

/** Answers browsers with a page, and other clients with JSON. */
const welcome: FastifyPluginAsyncTypebox = async (app) => {
  const { name, version } = manifest;
  const answer: Static<typeof Welcome> = { name, version, health: '/health/ready' };
  // Now all routes are known, even those of files that load later.
  app.addHook('onReady', async () => {
    if (app.hasRoute({ method: 'GET', url: '/docs' })) answer.docs = '/docs';
  });
  app.get(
    '/',
    {
      schema: {
        summary: 'Show the name and version',
        tags: ['welcome'],
        response: { 200: Welcome },
      },
    },
    async ({ headers }, reply) => {
      addVary(reply, 'accept');
      if (!/text\/html/i.test(headers.accept ?? '')) return answer;
      reply
        .type('text/html; charset=utf-8')
        .headers(app.pageHeaders)
        .header('content-security-policy', CONTENT_SECURITY_POLICY)
        .serializer(String);
      return reply.send(renderPage(answer) as never);
    },
  );
};

function renderPage({ name, version, docs }: Static<typeof Welcome>): string {
  const link = docs ? `<a href=".${docs}">Try the API</a>` : '';
  return PAGE.replaceAll('{{name}}', name)
    .replace('{{version}}', version)
    .replace('{{docs}}', link);
}

export default welcome;
