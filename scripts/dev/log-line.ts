import manifest from '../../package.json' with { type: 'json' };

/** Makes the line of a request one message. All other lines keep the fields of the app. */
export function shortenLine(line: string): string {
  const fields = parseLine(line);
  if (!fields) return line;
  const { requestId, ...shown } = fields;
  // An app may log a name of its own.
  if (shown.name === manifest.name) delete shown.name;
  const { method, path, status, durationMs, address, msg, ...others } = shown;
  const isRequest = method !== undefined && (msg === 'request' || msg === 'request failed');
  if (!isRequest) return JSON.stringify(shown);
  const request = method === null ? 'An unreadable request:' : `${method} ${path}`;
  return JSON.stringify({ ...others, msg: `${request} ${status} in ${durationMs} ms` });
}

/** The fields of a line of the app's log. Packages may print other lines. */
function parseLine(line: string): Record<string, unknown> | undefined {
  try {
    return line.startsWith('{"level":') ? JSON.parse(line) : undefined;
  } catch {
    return;
  }
}
