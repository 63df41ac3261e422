/*
 * Makes stack traces of dist/ show the lines of the sources. Node keeps source maps only of modules
 * that load after this. So each entry imports this file first, and the app dynamically.
 */
process.setSourceMapsEnabled(true);
