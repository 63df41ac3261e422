// Fastify with its default logging: two lines per request.
import Fastify from 'fastify';

const app = Fastify({ logger: true });

app.get('/', async () => ({
  name: 'poort',
  version: '0.1.0',
  docs: '/docs',
  health: '/health/ready',
}));

await app.listen({ host: '127.0.0.1', port: Number(process.env.PORT) });
