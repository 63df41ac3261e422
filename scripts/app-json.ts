import packageManifest from '../package.json' with { type: 'json' };
import type { Setting } from '../plugins/env/settings.ts';

/** Settings that platforms set. They are not in app.json, the form that an operator fills in. */
const SET_BY_PLATFORMS = ['PORT', 'HOST', 'DATABASE_URL', 'REDIS_URL', 'WEB_CONCURRENCY'];

/**
 * app.json with all settings that an operator may fill in. It loses the process types that the
 * Procfile does not have, and the former settings that no plugin declares any more. The owner's
 * values and other variables are kept.
 */
export function writeManifest(
  manifest: string,
  settings: Map<string, Setting>,
  procfile?: string,
  former: string[] = [],
): string {
  const { name, description } = packageManifest;
  const app = { ...JSON.parse(manifest), name, description };
  const variables = writeVariables(app.env, settings);
  const isOwn = ([name]: [string, unknown]) =>
    !(name in variables) && (settings.has(name) || !former.includes(name));
  // The owner's come last: a setting that an update adds would conflict at the end of the list.
  app.env = { ...variables, ...Object.fromEntries(Object.entries(app.env ?? {}).filter(isOwn)) };
  if (!settings.has('DATABASE_URL')) app.addons = app.addons?.filter(isOther);
  if (procfile !== undefined)
    for (const type of Object.keys(app.formation ?? {}))
      if (!new RegExp(`^${type}:`, 'm').test(procfile)) delete app.formation[type];
  return `${JSON.stringify(app, null, 2)}\n`;
}

/** An add-on is text, or an object with a plan. */
function isOther(addon: unknown): boolean {
  return !JSON.stringify(addon).includes('heroku-postgresql');
}

// biome-ignore lint/suspicious/noExplicitAny: JSON of several forms.
function writeVariables(env: any, settings: Map<string, Setting>): Record<string, unknown> {
  const listed = [...settings].filter(([name]) => !SET_BY_PLATFORMS.includes(name));
  const variables = listed.map(([name, setting]) => {
    const given = env?.[name];
    const kept = typeof given === 'string' ? { value: given } : given;
    const { default: value, '~optional': optional } = setting;
    const required = (!optional && value === undefined) || given?.required === true;
    return [name, { ...kept, description: describeSetting(setting), required }];
  });
  return Object.fromEntries(variables);
}

/** What a setting sets, with its values if only some are valid. */
export function describeSetting({ description, enum: values }: Setting): string {
  return values ? `${description} (${values.join(', ')})` : description;
}
