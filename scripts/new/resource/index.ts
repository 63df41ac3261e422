import createError from '@fastify/error';
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import type { FastifySchema } from 'fastify';
import { Type } from 'typebox';
import { locate } from '../../../src/location.ts';
import {
  NewSampleThing,
  SampleThing,
  SampleThingChanges,
  SampleThingId,
  SampleThingList,
  SampleThingPage,
} from './schema.ts';
import {
  createSampleThing,
  deleteSampleThing,
  findSampleThing,
  listSampleThings,
  updateSampleThing,
} from './store.ts';

const SampleThingNotFound = createError<[string]>(
  'SAMPLE_THING_NOT_FOUND',
  'Sample thing %s does not exist.',
  404,
);

const TAG = { tags: ['sample-things'] };
const LIST = {
  ...TAG,
  summary: 'List the sample things',
  querystring: SampleThingPage,
  response: { 200: SampleThingList },
} satisfies FastifySchema;
const CREATE = {
  ...TAG,
  summary: 'Add to the sample things',
  body: NewSampleThing,
  response: { 201: SampleThing },
} satisfies FastifySchema;
const SHOW = {
  ...TAG,
  summary: 'Show one of the sample things',
  params: SampleThingId,
  response: { 200: SampleThing },
} satisfies FastifySchema;
const CHANGE = {
  ...SHOW,
  summary: 'Change one of the sample things',
  body: SampleThingChanges,
} satisfies FastifySchema;
const REMOVE = {
  ...TAG,
  summary: 'Delete one of the sample things',
  params: SampleThingId,
  response: { 204: Type.Null() },
} satisfies FastifySchema;

/** The routes of the sample things. Their shapes are in schema.ts, and their SQL is in store.ts. */
const sampleThings: FastifyPluginAsyncTypebox = async (app) => {
  app.get('/', { schema: LIST }, async ({ query }) => listSampleThings(app.db, query));

  app.post('/', { schema: CREATE }, async (request, reply) => {
    const created = await createSampleThing(app.db, request.body);
    return reply.code(201).header('location', locate(request, created.id)).send(created);
  });

  app.get('/:id', { schema: SHOW }, async ({ params: { id } }) => {
    return (await findSampleThing(app.db, id)) ?? rejectId(id);
  });

  app.patch('/:id', { schema: CHANGE }, async ({ params: { id }, body }) => {
    return (await updateSampleThing(app.db, id, body)) ?? rejectId(id);
  });

  app.delete('/:id', { schema: REMOVE }, async ({ params: { id } }, reply) => {
    if (!(await deleteSampleThing(app.db, id))) rejectId(id);
    return reply.code(204).send(null);
  });
};

function rejectId(id: string): never {
  throw new SampleThingNotFound(id);
}

export default sampleThings;
