import { test } from 'tap';
import { describeIssuer } from '../../../plugins/auth/index.ts';
import { buildAppWithRoutes } from '../../helper.ts';

test('contract 35: Each protected route answers 401 without a token', async (t) => {
  const code = `
    const answer = async () => 'open';
    export default async (app) => {
      app.all('/all', { config: { auth: true } }, answer);
      app.route({ method: ['GET', 'POST'], url: '/list', config: { auth: true }, handler: answer });
      const onRequest = async (_, reply) => reply.send('open');
      app.get('/hooked', { config: { auth: true }, onRequest }, answer);
      app.register(async (inner) => {
        inner.addHook('onRoute', (route) => {
          route.config = { ...route.config, auth: { scope: 'a' } };
        });
        inner.setNotFoundHandler({}, answer);
        inner.get('/', answer);
        inner.get('/late/', answer);
      }, { prefix: '/inner' });
    };`;
  const { app } = await buildAppWithRoutes(t, code);
  const requests = ['/all', '/all/', '/list', '/hooked', '/inner', '/inner/', '/inner/late'];
  for (const url of requests)
    for (const method of ['GET', 'HEAD'] as const)
      t.equal((await app.inject({ method, url })).statusCode, 503, `${method} ${url}`);
  t.equal((await app.inject({ method: 'DELETE', url: '/all' })).statusCode, 503);
  t.equal((await app.inject({ method: 'POST', url: '/list' })).statusCode, 503);
});

test('The built app refuses the local issuer and says why', (t) => {
  const describe = (hasLocal: boolean) => ({
    pattern: '',
    remedy: '',
    ...describeIssuer(hasLocal),
  });
  const { pattern, remedy } = describe(false);
  t.notMatch('local:.data/issuer', new RegExp(pattern));
  t.match('https://issuer.example/', new RegExp(pattern));
  t.match(remedy, /do not work in the built app/);
  t.match('local:.data/issuer', new RegExp(describe(true).pattern));
  t.end();
});
