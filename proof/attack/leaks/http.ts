import http from 'node:http';
import { jwtVerify, SignJWT } from 'jose';
import { interceptors, Pool, request } from 'undici';
import type { Leaks } from '../leaks.ts';

/** Nothing listens on this port. */
const CLOSED = '127.0.0.1:1';

/** Errors of fetch, undici, node:http and jose. */
export const httpLeaks: Leaks = {
  'credentials in the URL of fetch': (secret) => fetch(`http://app:${secret}@${CLOSED}/`),
  'a query to a closed port': (secret) => fetch(`http://${CLOSED}/a?access_token=${secret}`),
  'an invalid URL': (secret) => fetch(`http://app:${secret}@host:port/`),
  'a header of fetch': (secret) =>
    fetch(`http://${CLOSED}/`, { headers: { authorization: `Bearer ${secret}\nx` } }),
  'a header of undici': (secret) =>
    request(`http://${CLOSED}/`, { headers: { authorization: `Bearer ${secret}\n` } }),
  'a header of node:http': (secret) =>
    http.get(`http://${CLOSED}/`, { headers: { authorization: `Bearer ${secret}\n` } }),
  'a pool of undici': (secret) => new Pool(`http://app:${secret}@host:port/`),
  'an answer of undici': (secret, { httpUrl }) => {
    const pool = new Pool(httpUrl).compose(interceptors.responseError());
    return pool.request({ method: 'GET', path: `/a?${secret}` });
  },
  'a body that is not JSON': async (secret, { httpUrl }) =>
    (await fetch(`${httpUrl}/a?token=${secret}`)).json(),
  'an answer of fetch': async (secret, { httpUrl }) => ({
    headers: Object.fromEntries((await fetch(`${httpUrl}/a?${secret}`)).headers),
  }),
  'claims of an expired token': async (secret) => {
    const key = Buffer.alloc(32);
    const token = await new SignJWT({ secret })
      .setProtectedHeader({ alg: 'HS256' })
      .setExpirationTime(1)
      .sign(key);
    return jwtVerify(token, key);
  },
};
