import createError from '@fastify/error';
import type { FastifyInstance, preValidationHookHandler } from 'fastify';

const UnlistedType = createError<[string]>(
  'FST_ERR_CTP_INVALID_MEDIA_TYPE',
  'The body must be %s.',
  415,
);

/** Refuses bodies whose type the `content` of a route's schema does not list: no schema fits them. */
export function refuseUnlistedTypes(app: FastifyInstance): void {
  app.addHook('onRoute', (route) => {
    const { content } = (route.schema?.body ?? {}) as { content?: object };
    if (!content) return;
    const refuse: preValidationHookHandler = ({ mediaType = '' }, _reply, done) => {
      if (Object.hasOwn(content, mediaType)) return done();
      done(new UnlistedType(Object.keys(content).join(' or ')));
    };
    route.preValidation = [refuse, route.preValidation ?? []].flat();
  });
}
