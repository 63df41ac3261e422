/*
 * Stack traces of dist/ name the lines of the sources. Node keeps the source maps only of what is
 * loaded after this: each entry imports it first, and the app dynamically.
 */
process.setSourceMapsEnabled(true);
