/*
 * Loaded before what is TypeScript, in JavaScript: a Node that cannot run TypeScript can run this,
 * and says what to do in place of ERR_UNKNOWN_FILE_EXTENSION.
 */
if (!process.features.typescript) {
  console.error(
    `Node ${process.versions.node} cannot run TypeScript. The Node of package.json is not installed: ` +
      'run "npm rebuild node" (its binary comes by an install script, which --ignore-scripts skips).',
  );
  process.exit(1);
}
