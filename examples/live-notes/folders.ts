/** The app's own plugins and routes, and those of this example. */
export const FOLDERS = {
  plugins: [new URL('../../plugins/', import.meta.url), new URL('./plugins/', import.meta.url)],
  routes: [new URL('../../routes/', import.meta.url), new URL('./routes/', import.meta.url)],
};
