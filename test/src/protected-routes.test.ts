import Fastify from 'fastify';
import { test } from 'tap';
import { OperatorError } from '../../src/operator-error.ts';
import { collectRoutes } from '../../src/protected-routes.ts';
import { buildAppWithRoutes } from '../helper.ts';

test('A route whose config.auth is empty or wrong keeps the app from starting', async (t) => {
  for (const auth of [
    '"yes"',
    '1',
    'null',
    '{}',
    '{ scope: 5 }',
    '{ scopes: "a" }',
    '{ scope: "" }',
    `{ scope: 'a"' }`,
  ]) {
    const code = `export default async (app) =>
      app.get('/mine', { config: { auth: ${auth} } }, () => 1);`;
    await t.rejects(
      buildAppWithRoutes(t, code),
      /GET \/mine: config.auth must be true, false or an object as \{ scope/,
      auth,
    );
  }
  const code =
    "export default async (app) => app.get('/open', { config: { auth: false } }, () => 'open');";
  const { app } = await buildAppWithRoutes(t, code);
  t.equal((await app.inject('/open')).statusCode, 200);
});

test('Without plugins/auth, a protected route keeps the app from starting', async (t) => {
  const app = Fastify();
  const protectRoutes = collectRoutes(app);
  app.get('/mine', { config: { auth: true } }, async () => 1);
  t.throws(protectRoutes, OperatorError);
  t.throws(protectRoutes, /GET \/mine needs a bearer token, but plugins\/auth is missing/);
});

test("The token of a protected route is checked before the route's own hooks", async (t) => {
  const app = Fastify();
  t.teardown(() => app.close());
  const order: string[] = [];
  const protectRoutes = collectRoutes(app);
  const note = (name: string) => async () => void order.push(name);
  app.decorate('authenticate', note('authenticate'));
  // Apart, because an app may replace the one before.
  app.decorate('checkScopes', note('scopes'));
  app.get('/one', { config: { auth: true }, onRequest: note('own') }, async () => 1);
  app.get('/two', { config: { auth: { scope: 'a' } }, onRequest: [note('own')] }, async () => 1);
  app.get('/open', async () => 1);
  protectRoutes();
  for (const url of ['/one', '/two', '/open']) await app.inject(url);
  const each = ['authenticate', 'scopes', 'own'];
  t.strictSame(order, [...each, ...each]);
});

test('An app with a check of its own, in place of plugins/auth, may have no scopes', async (t) => {
  const app = Fastify();
  t.teardown(() => app.close());
  const protectRoutes = collectRoutes(app);
  app.decorate('authenticate', async (_request, reply) => reply.code(401).send());
  app.get('/mine', { config: { auth: true } }, async () => 1);
  protectRoutes();
  app.get('/scoped', { config: { auth: { scope: 'a' } } }, async () => 1);
  t.throws(protectRoutes, /GET \/scoped needs a scope, but app\.checkScopes is missing/);
  t.equal((await app.inject('/mine')).statusCode, 401);
});
