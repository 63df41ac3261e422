// Fastify alone, the baseline of all others. ROUTES is the number of additional routes, five per
// resource.
import Fastify from 'fastify';

const app = Fastify();

app.get('/', async () => ({
  name: 'poort',
  version: '0.1.0',
  docs: '/docs',
  health: '/health/ready',
}));

for (let resource = 0; resource < Number(process.env.ROUTES ?? 0) / 5; resource++) {
  const url = `/resource-${resource}`;
  app.get(url, async () => []);
  app.post(url, async ({ body }, reply) => reply.code(201).send(body));
  app.get(`${url}/:id`, async ({ params }) => params);
  app.patch(`${url}/:id`, async ({ body }) => body);
  app.delete(`${url}/:id`, async (_request, reply) => reply.code(204).send());
}

await app.listen({ host: '127.0.0.1', port: Number(process.env.PORT) });
