// Agents see the built app: OpenTelemetry's instrumentations, a --require hook and a native addon
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { cp, mkdir, readdir, symlink, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { buildApp } from '../build.ts';
import { expectSuccess } from '../docs/shell.ts';
import { PostgresServer } from '../postgres.ts';
import { findPort, makeFolder, type RunningProcess } from '../processes.ts';
import { release, startProgram } from '../routing/web.ts';
import type { Tally } from '../tally.ts';

/** The packages that OpenTelemetry documents for programs of ES modules. */
const AGENT = '@opentelemetry/auto-instrumentations-node@0.82';

const START_AGENT = `
  import { register } from 'node:module';
  register('@opentelemetry/instrumentation/hook.mjs', import.meta.url);
  await import('@opentelemetry/auto-instrumentations-node/register');
`;

/** Prints the file of each required package. */
const REQUIRE_HOOK = `
  const { Module } = require('node:module');
  const load = Module._load;
  Module._load = function (request, parent, isMain) {
    console.error('required ' + Module._resolveFilename(request, parent));
    return load.call(this, request, parent, isMain);
  };
`;

/** A minimal native addon. It uses Node-API, so its binary runs on each version of Node. */
const ADDON = `
  #include <node_api.h>
  static napi_value answer(napi_env env, napi_callback_info info) {
    napi_value value; napi_create_int32(env, 42, &value); return value;
  }
  NAPI_MODULE_INIT() {
    napi_value value; napi_create_function(env, 0, 0, answer, 0, &value); return value;
  }
`;

const ADDON_ROUTE = `
  import answer from 'native-addon';
  export default async (app) => app.get('/', async () => ({ answer: answer() }));
`;

export async function prove(tally: Tally): Promise<void> {
  await using postgres = await PostgresServer.create();
  await release(postgres.url);
  await tally.check('OpenTelemetry records request, query and its text, and the log line', () =>
    proveOpenTelemetry(postgres),
  );
  await tally.check('contract 29: A --require hook sees pg, fastify and pino', () =>
    proveRequire(postgres),
  );
  await tally.check('A native addon works from a route', () => proveAddon(postgres));
}

async function proveOpenTelemetry(postgres: PostgresServer): Promise<string> {
  const folder = await copyBuild('@opentelemetry');
  const agent = await makeFolder('agent');
  const install = `npm install --ignore-scripts --no-audit --no-fund --prefix ${agent} ${AGENT}`;
  await expectSuccess(agent, install, readEnvironment());
  const name = 'node_modules/@opentelemetry';
  await symlink(path.join(agent, name), path.join(folder, name), 'junction');
  await writeFile(path.join(folder, 'agent.mjs'), START_AGENT);
  const environment = {
    NODE_OPTIONS: '--import ./agent.mjs',
    OTEL_TRACES_EXPORTER: 'console',
    OTEL_METRICS_EXPORTER: 'none',
    OTEL_LOGS_EXPORTER: 'none',
    OTEL_BSP_SCHEDULE_DELAY: '100',
  };
  await using web = await startWeb(folder, postgres, '/notes', environment);
  const { trace_id } = JSON.parse(await web.waitForLine('"path":"/notes"'));
  // Spans arrive in the order of their end, so the request's span is the last of its trace.
  const at = web.lines.indexOf(await web.waitForLine(`traceId: '${trace_id}'`));
  await web.waitForLine("'url.path': '/notes'", at);
  const output = web.lines.join('\n');
  assert.match(output, /'db\.(query\.text|statement)': 'select .*notes/, 'the text of a query');
  return `the line, the request and its query in the trace ${trace_id}`;
}

async function proveRequire(postgres: PostgresServer): Promise<string> {
  const folder = await copyBuild();
  await writeFile(path.join(folder, 'hook.cjs'), REQUIRE_HOOK);
  const NODE_OPTIONS = '--require ./hook.cjs';
  await using web = await startWeb(folder, postgres, '/notes', { NODE_OPTIONS });
  const files = web.lines.filter((line) => line.startsWith('required '));
  for (const name of ['pg', 'fastify', 'pino'])
    assert(
      files.some((file) => file.includes(`/node_modules/${name}/`)),
      `${name} is not recorded`,
    );
  return `${files.length} files`;
}

async function proveAddon(postgres: PostgresServer): Promise<void> {
  const folder = await copyBuild();
  const addon = path.join(folder, 'node_modules/native-addon');
  await mkdir(addon);
  await writeFile(path.join(addon, 'addon.c'), ADDON);
  await writeFile(path.join(addon, 'index.js'), "module.exports = require('./addon.node');");
  const headers = [
    '/usr/include/node',
    path.join(path.dirname(process.execPath), '../include/node'),
  ];
  const includes = headers.map((header) => `-I${header}`);
  const args = ['-shared', '-fPIC', ...includes, '-o', 'addon.node', 'addon.c'];
  execFileSync('gcc', args, { cwd: addon });
  const route = path.join(folder, 'dist/routes/addon');
  await mkdir(route);
  await writeFile(path.join(route, 'index.js'), ADDON_ROUTE);
  await using _web = await startWeb(folder, postgres, '/addon');
}

/** Copies the built app and its packages, except `without`, which the test installs itself. */
async function copyBuild(without?: string): Promise<string> {
  const built = buildApp();
  const folder = await makeFolder('agents');
  for (const name of ['dist', 'package.json'])
    await cp(path.join(built, name), path.join(folder, name), { recursive: true });
  await mkdir(path.join(folder, 'node_modules'));
  const names = await readdir(path.join(built, 'node_modules'));
  for (const name of names.filter((name) => name !== without))
    await symlink(path.join(built, 'node_modules', name), path.join(folder, 'node_modules', name));
  return folder;
}

/** Starts the built app as the Procfile does, and requests a path until it answers 200. */
async function startWeb(
  folder: string,
  postgres: PostgresServer,
  path: string,
  environment: Record<string, string> = {},
): Promise<RunningProcess> {
  const PORT = `${await findPort()}`;
  const settings = { HOST: '127.0.0.1', DATABASE_URL: postgres.url, SHUTDOWN_DELAY_MS: '0', PORT };
  const web = await startProgram({
    args: ['dist/src/web.js'],
    folder,
    environment: { ...settings, ...environment },
  });
  const response = await fetch(`http://127.0.0.1:${PORT}${path}`);
  assert.equal(response.status, 200, await response.text());
  return web;
}

/** The machine's environment, without the variables that npm adds. */
function readEnvironment(): NodeJS.ProcessEnv {
  const entries = Object.entries(process.env).filter(([name]) => !name.startsWith('npm_'));
  return Object.fromEntries(entries);
}
