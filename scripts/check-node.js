/*
 * Loaded before any TypeScript. It is JavaScript, so that an old Node says what to do instead of
 * ERR_UNKNOWN_FILE_EXTENSION.
 */
if (!process.features.typescript) {
  console.error(
    `Node ${process.versions.node} cannot run TypeScript. The Node of package.json is not ` +
      'installed: run "npm rebuild node" (--ignore-scripts skips its install script).',
  );
  process.exit(1);
}
