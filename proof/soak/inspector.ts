import { once } from 'node:events';

/** The resources of a process, measured after garbage collection and without open requests. */
export interface Sample {
  /** In bytes, like rss. */
  heap: number;
  rss: number;
  external: number;
  sockets: number;
  timers: number;
  /** The listeners of all live event emitters. */
  listeners: number;
}

/**
 * Runs in the process: waits for aborted requests, then collects garbage in rounds, because
 * finalizers free more.
 */
const MEASURE = `(async () => {
  await new Promise((resolve) => setTimeout(resolve, 100));
  for (let round = 0; round < 3; round++) {
    gc();
    await new Promise((resolve) => setImmediate(resolve));
  }
  const { heapUsed: heap, rss, external } = process.memoryUsage();
  const resources = process.getActiveResourcesInfo();
  const count = (name) => resources.filter((resource) => resource === name).length;
  return { heap, rss, external, sockets: count('TCPSocketWrap'), timers: count('Timeout') };
})()`;

/** Runs on the array of all event emitters. */
const COUNT_LISTENERS = `function () {
  let listeners = 0;
  for (const { _events: events } of this) {
    for (const name of Reflect.ownKeys(events ?? {}))
      listeners += [events[name] ?? []].flat().length;
  }
  return listeners;
}`;

/**
 * Measures a process that was started with --inspect and --expose-gc, without changing it.
 *
 * @param port that of --inspect
 */
export async function takeSample(port: number): Promise<Sample> {
  using inspector = await Inspector.connect(port);
  const measured = await inspector.evaluate<Omit<Sample, 'listeners'>>(MEASURE);
  return { ...measured, listeners: await inspector.countListeners() };
}

/** One inspector session. It ends with the sample, so that the process keeps nothing for it. */
class Inspector implements Disposable {
  readonly #socket: WebSocket;
  readonly #replies = new Map<number, PromiseWithResolvers<Reply>>();
  #calls = 0;

  private constructor(socket: WebSocket) {
    this.#socket = socket;
    socket.addEventListener('message', ({ data }) => {
      const { id, result } = JSON.parse(data);
      this.#replies.get(id)?.resolve(result);
    });
  }

  static async connect(port: number): Promise<Inspector> {
    const answer = await fetch(`http://127.0.0.1:${port}/json/list`);
    const [target] = (await answer.json()) as [{ webSocketDebuggerUrl: string }];
    const socket = new WebSocket(target.webSocketDebuggerUrl);
    await once(socket, 'open');
    return new Inspector(socket);
  }

  async evaluate<Value>(expression: string): Promise<Value> {
    const { result } = await this.#call('Runtime.evaluate', {
      expression,
      awaitPromise: true,
      returnByValue: true,
    });
    return result.value as Value;
  }

  async countListeners(): Promise<number> {
    const expression = `process.getBuiltinModule('node:events').prototype`;
    const { result: prototype } = await this.#call('Runtime.evaluate', { expression });
    const { objects } = await this.#call('Runtime.queryObjects', {
      prototypeObjectId: prototype.objectId,
    });
    const { result } = await this.#call('Runtime.callFunctionOn', {
      objectId: objects.objectId,
      functionDeclaration: COUNT_LISTENERS,
      returnByValue: true,
    });
    return result.value as number;
  }

  [Symbol.dispose](): void {
    this.#socket.close();
  }

  async #call(method: string, params: object): Promise<Reply> {
    const id = ++this.#calls;
    const reply = Promise.withResolvers<Reply>();
    this.#replies.set(id, reply);
    this.#socket.send(JSON.stringify({ id, method, params }));
    return reply.promise;
  }
}

interface Reply {
  result: { value?: unknown; objectId: string };
  objects: { objectId: string };
}
