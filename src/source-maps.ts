import { setSourceMapsSupport } from 'node:module';

/*
 * Makes stack traces of dist/ show the lines of the sources. Node keeps source maps only of modules
 * that load after this, and not of packages. So each entry imports this file first, and the app
 * dynamically.
 */
setSourceMapsSupport(true);
