// Fastify and pg, with the app's statements for notes and a pool of the same size.
import Fastify from 'fastify';
import pg from 'pg';
import { v7 as createId } from 'uuid';

const COLUMNS = '"id", "title", "body", "created_at" as "createdAt", "updated_at" as "updatedAt"';

const app = Fastify();
const pool = new pg.Pool({ connectionString: process.env.DATABASE_URL, max: 10 });

app.get('/', async () => ({ name: 'poort' }));

app.get('/notes', async () => {
  const { rows } = await pool.query(
    `select ${COLUMNS} from "notes" order by "id" desc limit $1`,
    [21],
  );
  return { items: rows.slice(0, 20), next: rows.length > 20 ? rows[19].id : null };
});

app.get('/notes/:id', async ({ params }, reply) => {
  const { rows } = await pool.query(`select ${COLUMNS} from "notes" where "id" = $1`, [params.id]);
  return rows[0] ?? reply.code(404).send({ message: 'There is no such note' });
});

app.post('/notes', async ({ body: { title, body = '' } }, reply) => {
  const now = new Date();
  const { rows } = await pool.query(
    `insert into "notes" ("id", "title", "body", "created_at", "updated_at") values ($1, $2, $3, $4, $5) returning ${COLUMNS}`,
    [createId({ msecs: now.getTime() }), title, body, now, now],
  );
  return reply.code(201).header('location', `/notes/${rows[0].id}`).send(rows[0]);
});

await app.listen({ host: '127.0.0.1', port: Number(process.env.PORT) });
