import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import type { FastifyPluginAsync } from 'fastify';

const PAGE = new URL('./page.html', import.meta.url);

/** GET /live, a page that shows the notes. The page may use only its own style and script. */
const live: FastifyPluginAsync = async (app) => {
  const page = await readFile(PAGE, 'utf8');
  const policy = [
    "default-src 'none'",
    "connect-src 'self'",
    'img-src data:',
    `style-src '${hash(page, 'style')}'`,
    `script-src '${hash(page, 'script')}'`,
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
  ].join(';');

  app.get('/', { schema: { hide: true } }, async (_request, reply) =>
    reply.type('text/html; charset=utf-8').header('content-security-policy', policy).send(page),
  );
};

function hash(page: string, tag: string): string {
  const [, text = ''] = page.split(new RegExp(`</?${tag}>`));
  return `sha256-${createHash('sha256').update(text).digest('base64')}`;
}

export default live;
