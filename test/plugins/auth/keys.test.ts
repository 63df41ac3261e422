import { errors, exportJWK, generateKeyPair, type JWK, SignJWT } from 'jose';
import { type Test, test } from 'tap';
import { Keys } from '../../../plugins/auth/keys.ts';
import { verifyToken } from '../../../plugins/auth/token.ts';

/** Opens the keys of a fake issuer. `asked` counts its requests; `now` is the time. */
async function openKeys(t: Test) {
  const state = { now: 1_000, asked: 0, isAway: false, published: [await createKey('first')] };
  t.intercept(performance, 'now', { value: () => state.now });
  const fetchKeys = async () => {
    state.asked += 1;
    if (state.isAway) throw new Error('away');
    return { keys: [...state.published] };
  };
  const keys = new Keys(fetchKeys);
  const find = (kid: string) =>
    keys.try(async (known) => known({ alg: 'ES256', kid }, { payload: '', signature: '' }));
  return { state, keys, find };
}

async function createKey(kid: string): Promise<JWK> {
  return { ...(await exportJWK((await generateKeyPair('ES256')).publicKey)), kid };
}

test('Concurrent requests for the keys ask the issuer once', async (t) => {
  const { state, find } = await openKeys(t);
  t.ok((await Promise.all([find('first'), find('first'), find('first')])).every(Boolean));
  t.equal(state.asked, 1);
});

test('A flood of unknown kids asks the issuer once in 30 s, and each is refused', async (t) => {
  const { state, find } = await openKeys(t);
  await find('first');
  for (let count = 0; count < 50; count++)
    await t.rejects(find(`x${count}`), errors.JWKSNoMatchingKey);
  t.equal(state.asked, 1);
  state.now += 30_001;
  for (let count = 0; count < 50; count++)
    await t.rejects(find(`x${count}`), errors.JWKSNoMatchingKey);
  t.equal(state.asked, 2);
});

test('A new key is found when its first token arrives', async (t) => {
  const { state, find } = await openKeys(t);
  await find('first');
  state.published.push(await createKey('second'));
  state.now += 30_001;
  t.ok(await find('second'));
  t.ok(await find('first'));
  t.equal(state.asked, 2);
});

test('A new key is found at once, although readiness has just asked the issuer', async (t) => {
  const { state, keys, find } = await openKeys(t);
  await keys.check();
  t.ok(await find('first'));
  state.now += 30_001;
  await keys.check();
  await new Promise(setImmediate);
  state.published.push(await createKey('second'));
  t.ok(await find('second'));
  t.equal(state.asked, 3);
  await t.rejects(find('third'), errors.JWKSNoMatchingKey);
  await keys.check();
  t.equal(state.asked, 3, 'a fetch for a token counts for readiness too');
});

test('Tokens without kid and with an unknown key ask once in 30 s', async (t) => {
  const { state, keys } = await openKeys(t);
  const { publicKey, privateKey } = await generateKeyPair('ES256');
  const token = await new SignJWT({ iss: 'issuer', aud: 'poort', sub: 'alice' })
    .setProtectedHeader({ alg: 'ES256' })
    .setExpirationTime('1h')
    .sign(privateKey);
  const verify = () => verifyToken(token, keys, { issuer: 'issuer', audience: 'poort' });
  for (const published of [state.published, [...state.published, await createKey('second')]]) {
    state.published = published;
    for (let count = 0; count < 3; count++) await t.rejects(verify(), errors.JWKSNoMatchingKey);
    state.now += 30_001;
  }
  t.equal(state.asked, 2, 'asked once in 30 s');
  state.isAway = true;
  await t.rejects(verify(), { code: 'AUTH_UNAVAILABLE', statusCode: 503 });
  state.isAway = false;
  state.now += 2_001;
  state.published.push(await exportJWK(publicKey));
  t.match(await verify(), { id: 'alice' });
  t.equal(state.asked, 4);
});

test('A key that cannot be used counts as unknown, until the issuer fixes it', async (t) => {
  const { state, keys } = await openKeys(t);
  const { publicKey, privateKey } = await generateKeyPair('ES256');
  const good = { ...(await exportJWK(publicKey)), kid: 'good' };
  const token = await new SignJWT({ iss: 'issuer', aud: 'poort', sub: 'alice' })
    .setProtectedHeader({ alg: 'ES256', kid: 'good' })
    .setExpirationTime('1h')
    .sign(privateKey);
  const verify = () => verifyToken(token, keys, { issuer: 'issuer', audience: 'poort' });
  state.published = [{ ...good, x: 'AAAA' }];
  for (let count = 0; count < 3; count++) await t.rejects(verify(), errors.JWKSNoMatchingKey);
  t.equal(state.asked, 1, 'asked once in 30 s');
  state.published = [good];
  state.now += 30_001;
  t.match(await verify(), { id: 'alice' });
});

test('While the issuer is down, known keys work and unknown ones answer 503', async (t) => {
  const { state, find } = await openKeys(t);
  await find('first');
  state.isAway = true;
  state.now += 30_001;
  for (let count = 0; count < 3; count++) {
    await t.rejects(find('second'), { code: 'AUTH_UNAVAILABLE', statusCode: 503 });
    t.ok(await find('first'));
  }
  t.equal(state.asked, 2, 'asked once in 2 s');
  state.now += 2_001;
  state.isAway = false;
  await t.rejects(find('second'), errors.JWKSNoMatchingKey, 'the issuer is back');
  t.equal(state.asked, 3);
});

test('Keys older than 10 minutes are fetched again in the background', async (t) => {
  const { state, find } = await openKeys(t);
  await find('first');
  state.isAway = true;
  state.now += 600_001;
  t.ok(await find('first'), 'the old key works while that fails');
  await new Promise(setImmediate);
  t.equal(state.asked, 2);
  state.isAway = false;
  state.published = [await createKey('second')];
  state.now += 2_001;
  t.ok(await find('first'));
  await new Promise(setImmediate);
  t.equal(state.asked, 3);
  await t.rejects(find('first'), errors.JWKSNoMatchingKey, 'the key was withdrawn');
  t.ok(await find('second'));
});

test('A key that was withdrawn while no requests came is not used once more', async (t) => {
  const { state, find } = await openKeys(t);
  await find('first');
  state.published = [await createKey('second')];
  state.now += 24 * 3_600_000;
  await t.rejects(find('first'), errors.JWKSNoMatchingKey);
  t.ok(await find('second'));
  state.isAway = true;
  state.now += 24 * 3_600_000;
  t.ok(await find('second'), 'if the issuer is down, the known keys work');
  t.equal(state.asked, 3);
  state.isAway = false;
  state.published = [await createKey('third')];
  state.now += 24 * 3_600_000;
  await t.rejects(find('second'), errors.JWKSNoMatchingKey, 'also after a failure of long ago');
});

test('An error other than an unknown key does not ask the issuer', async (t) => {
  const { state, find } = await openKeys(t);
  await find('first');
  state.published = [await createKey('twice'), await createKey('twice')];
  state.now += 30_001;
  await t.rejects(find('twice'), errors.JWKSMultipleMatchingKeys);
  await t.rejects(find('twice'), errors.JWKSMultipleMatchingKeys);
  t.equal(state.asked, 2);
});

const AWAY = { code: 'AUTH_UNAVAILABLE', statusCode: 503, message: /reached/ };

test('Readiness asks the issuer once in 30 s, and once in 2 s while it is down', async (t) => {
  const { state, keys, find } = await openKeys(t);
  const turn = () => new Promise(setImmediate);
  state.isAway = true;
  for (let count = 0; count < 5; count++) await t.rejects(keys.check(), AWAY);
  t.equal(state.asked, 1);
  state.isAway = false;
  state.now += 2_001;
  for (let count = 0; count < 5; count++) await keys.check();
  t.ok(await find('first'), 'the keys are kept');
  t.equal(state.asked, 2);
  state.isAway = true;
  state.now += 30_001;
  await keys.check();
  await turn();
  t.equal(state.asked, 3, 'asked in the background, because keys are known');
  for (let count = 0; count < 5; count++) await t.rejects(keys.check(), AWAY);
  t.ok(await find('first'));
  state.isAway = false;
  state.now += 2_001;
  await t.rejects(keys.check(), AWAY);
  await turn();
  await keys.check();
  t.equal(state.asked, 4);
});
