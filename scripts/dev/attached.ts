/**
 * Lists the service and the place of each setting that is a URL, in the order of .env.example. The
 * names come from there: importing the plugins would run them here too, without their settings.
 *
 * @param example the text of .env.example
 */
export function listAttached(
  example: string,
  environment: NodeJS.ProcessEnv,
): [name: string, place: string | undefined][] {
  return Array.from(example.matchAll(/^(?:# )?([A-Z\d_]+)_URL=/gm), ([, name = '']) => {
    const value = environment[`${name}_URL`];
    return [nameService(name), value ? showPlace(value) : undefined];
  });
}

/** BACKING_APP becomes "Backing app". */
function nameService(setting: string): string {
  const words = setting.replaceAll('_', ' ').toLowerCase();
  return words.charAt(0).toUpperCase() + words.slice(1);
}

/** Protocol and host, or the folder of a service in development. All else may be a secret. */
function showPlace(value: string): string {
  if (/^(pglite|local):/.test(value)) return value;
  const url = URL.parse(value);
  // In postgres://u:p@ss/w@host, a part of the password looks like the host.
  const isClear = !/@/.test(`${url?.pathname}${url?.search}${url?.hash}`);
  return url && isClear && /^[\w.:[\]-]+$/.test(url.host)
    ? `${url.protocol}//${url.host}`
    : 'attached';
}
