// The plugins of fastify-cli's TypeScript template, with its logging: `fastify start -l info`.
import sensible from '@fastify/sensible';
import Fastify from 'fastify';

const app = Fastify({ logger: { level: 'info' } });

await app.register(sensible);

app.get('/', async () => ({
  name: 'poort',
  version: '0.1.0',
  docs: '/docs',
  health: '/health/ready',
}));

await app.listen({ host: '127.0.0.1', port: Number(process.env.PORT) });
