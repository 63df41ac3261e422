import type { HostileRequest } from './request.ts';
import { bodies } from './requests/bodies.ts';
import { contentTypes } from './requests/content-types.ts';
import { framing } from './requests/framing.ts';
import { headers } from './requests/headers.ts';
import { paths } from './requests/paths.ts';
import { protocols } from './requests/protocols.ts';
import { slow } from './requests/slow.ts';

/** All requests. The slow ones run beside the others. */
export const requests: HostileRequest[] = [
  ...slow,
  ...bodies,
  ...contentTypes,
  ...paths,
  ...framing,
  ...headers,
  ...protocols,
];
