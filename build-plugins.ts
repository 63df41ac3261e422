// `npm run build` has these change the code while esbuild puts it together.
import { readFileSync } from 'node:fs';
import path from 'node:path';
import type { Plugin } from 'esbuild';

/**
 * In a script, a file of ours that asks where it is has to be told.
 *
 * @param nameBuilt what dist/ calls a file
 */
export const describeFiles = (nameBuilt: (file: string) => string): Plugin => ({
  name: 'import.meta',
  setup({ onLoad }) {
    onLoad({ filter: /\.ts$/ }, ({ path: file }) => {
      const source = readFileSync(file, 'utf8');
      const name = JSON.stringify(nameBuilt(path.relative('.', file)));
      // On a line that is there, so that the source map names the lines of the file.
      const line = `const __importMeta = /* @__PURE__ */ __describeFile(${name}); `;
      return { contents: source.replace(/^(#!.*\n)?/, `$1${line}`), loader: 'ts' };
    });
  },
});

/**
 * @fastify/env checks its own options by a schema, and that one by the schema of schemas: both never change, and to
 * compile them takes a fifth of the start.
 */
export const constantSchemas: Plugin = {
  name: 'constant schemas',
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /^ajv$/ }, ({ path: name, importer }) =>
      importer.includes('env-schema') ? { path: name, namespace: 'constant' } : undefined,
    );
    onLoad({ filter: /./, namespace: 'constant' }, () => ({
      contents: `const Ajv = require('ajv');
        module.exports = function (options) { return new Ajv({ ...options, meta: false, validateSchema: false }); };
        module.exports.prototype = Ajv.prototype;`,
      resolveDir: '.',
    }));
  },
};

/** Our files have imports: of a package with two halves, they get the one for ES modules. */
export const importConditions: Plugin = {
  name: 'import conditions',
  setup({ onResolve, resolve }) {
    onResolve({ filter: /./ }, ({ path: name, kind, importer, resolveDir }) =>
      importer === '<stdin>' && kind === 'require-call'
        ? resolve(name, { kind: 'import-statement', resolveDir })
        : undefined,
    );
  },
};
