import { test } from 'tap';
import { buildAppWithRoutes } from '../../helper.ts';
import { startIssuer } from './test-issuer.ts';

const BACK = `export default async (app) =>
  app.get('/who', { config: { auth: true } }, async ({ user }) => ({ id: user.id }));`;

const FRONT = `export default async (app) => {
  const schema = { type: 'object', properties: { id: { type: 'string' } } };
  const config = { auth: true };
  app.get('/alone', { config }, (request) => app.backingApp.get('/who', schema, request));
  app.get('/passed', { config }, (request) =>
    app.backingApp.get('/who', schema, request, request.headers.authorization));
};`;

test("The caller's token is passed to the backing app only if a route does so", async (t) => {
  const issuer = await startIssuer(t);
  const { app: back } = await buildAppWithRoutes(t, BACK, issuer.environment);
  const url = new URL(await back.listen({ host: '127.0.0.1', port: 0 }));
  const headers = { authorization: `Bearer ${await issuer.sign()}` };
  for (const credentials of ['', 'user:password@']) {
    const { app } = await buildAppWithRoutes(t, FRONT, {
      ...issuer.environment,
      BACKING_APP_URL: `http://${credentials}${url.host}`,
    });
    t.strictSame((await app.inject({ url: '/passed', headers })).json(), { id: 'alice' });
    const alone = await app.inject({ url: '/alone', headers });
    t.match(alone.json(), { statusCode: 502, code: 'BACKING_APP_FAILED' });
  }
});
