/** An answer to one request. */
export interface Answer {
  status: number;
  headers: Headers;
  body: string;
}

/**
 * Splits a server's bytes into answers, as RFC 9112 says, without interim ones (1xx).
 *
 * @param received the bytes, one character for each
 * @param bodiless whether these are answers to HEAD
 * @returns the complete answers, and the bytes after the last of them
 */
export function parseAnswers(
  received: string,
  bodiless: boolean,
): { answers: Answer[]; rest: string } {
  const answers: Answer[] = [];
  let rest = received;
  for (;;) {
    const parsed = parseAnswer(rest, bodiless);
    if (!parsed) return { answers, rest };
    if (parsed.answer.status >= 200) answers.push(parsed.answer);
    rest = rest.slice(parsed.length);
  }
}

function parseAnswer(
  text: string,
  bodiless: boolean,
): { answer: Answer; length: number } | undefined {
  const end = text.indexOf('\r\n\r\n');
  if (end === -1) return undefined;
  const [statusLine = '', ...lines] = text.slice(0, end).split('\r\n');
  const status = Number(/^HTTP\/1\.1 (\d{3}) /.exec(statusLine)?.[1]);
  if (!status) throw new Error(`This is not an HTTP answer: ${JSON.stringify(statusLine)}`);
  const headers = new Headers(lines.map((line) => splitField(line)));
  const start = end + 4;
  const body =
    bodiless || status < 200 || status === 204
      ? { text: '', length: 0 }
      : readBody(text.slice(start), headers);
  if (!body) return undefined;
  const decoded = Buffer.from(body.text, 'latin1').toString();
  return { answer: { status, headers, body: decoded }, length: start + body.length };
}

function splitField(line: string): [string, string] {
  const colon = line.indexOf(':');
  return [line.slice(0, colon), line.slice(colon + 1)];
}

function readBody(text: string, headers: Headers): { text: string; length: number } | undefined {
  if (headers.get('transfer-encoding') === 'chunked') return readChunks(text);
  const length = Number(headers.get('content-length'));
  return text.length < length ? undefined : { text: text.slice(0, length), length };
}

function readChunks(text: string): { text: string; length: number } | undefined {
  let body = '';
  let position = 0;
  for (;;) {
    const start = text.indexOf('\r\n', position) + 2;
    const size = Number.parseInt(text.slice(position), 16);
    if (start === 1 || text.length < start + size + 2) return undefined;
    body += text.slice(start, start + size);
    position = start + size + 2;
    if (size === 0) return { text: body, length: position };
  }
}
