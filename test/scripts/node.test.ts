import { test } from 'tap';
import manifest from '../../package.json' with { type: 'json' };

/** Released before Node 26 became an LTS in October 2026, so it does not report that. */
const BEFORE_ITS_TIME = ['26.10.0'];

test('engines.node is an LTS, according to Node itself', (t) => {
  const { versions, release } = process;
  t.equal(`${versions.node.split('.')[0]}.x`, manifest.engines.node, 'the tests run on it');
  t.ok(
    release.lts || BEFORE_ITS_TIME.includes(versions.node),
    `Node ${versions.node} does not call itself an LTS`,
  );
  t.end();
});
