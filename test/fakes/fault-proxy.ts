import http from 'node:http';
import net from 'node:net';

/** What happens to one request on its way. */
export type NetworkFault =
  /** The connection is closed, the server sees nothing. */
  | 'drop-request'
  /** The server does it, the connection is closed without an answer. */
  | 'drop-answer'
  /** The server gets half of the request. */
  | 'cut-request'
  /** The client gets half of the answer. */
  | 'cut-answer'
  | 'delay-request'
  | 'delay-answer'
  /** The server gets it twice, one after the other, and the client the second answer. */
  | 'repeat'
  /** The server gets it twice at the same time, and the client the first answer. */
  | 'double'
  /** The server gets it once more after the client has its answer and may have gone on. */
  | 'late-repeat';

export const NETWORK_FAULTS: readonly NetworkFault[] = [
  'drop-request',
  'drop-answer',
  'cut-request',
  'cut-answer',
  'delay-request',
  'delay-answer',
  'repeat',
  'double',
  'late-repeat',
];

const LONGEST_DELAY_MS = 600;
const LATE_MS = 1_500;

interface Request {
  readonly method: string;
  readonly url: string;
  readonly headers: http.IncomingHttpHeaders;
  readonly body: Buffer;
}

interface Answer {
  readonly status: number;
  readonly headers: http.IncomingHttpHeaders;
  readonly body: Buffer;
}

/** A bad network before an HTTP server: which request has which fault is decided by `random`, in order of arrival. */
export class FaultProxy {
  readonly origin: string;
  /** Share of the requests that something happens to, 0 to 1; may be changed at any time. */
  rate: number;
  /** So often each fault happened. */
  readonly done = new Map<NetworkFault, number>();
  readonly #target: URL;
  readonly #random: () => number;
  readonly #server: http.Server;
  readonly #agent = new http.Agent({ keepAlive: false });
  readonly #work = new Set<Promise<unknown>>();
  readonly #closing = new AbortController();

  private constructor(target: string, options: { random: () => number; rate: number }, server: http.Server) {
    this.#target = new URL(target);
    this.#random = options.random;
    this.rate = options.rate;
    this.#server = server;
    const address = server.address();
    if (address === null || typeof address === 'string') throw new Error('not listening');
    this.origin = `http://127.0.0.1:${address.port}`;
  }

  static async start(target: string, options: { random: () => number; rate: number }): Promise<FaultProxy> {
    const server = http.createServer();
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const proxy = new FaultProxy(target, options, server);
    server.on('request', (request, response) => proxy.#keep(proxy.#pass(request, response)));
    return proxy;
  }

  /** Cuts every connection that is open at this moment. */
  cutAll(): void {
    this.#server.closeAllConnections();
  }

  /** Resolves when no repeat is under way any more. */
  async quiet(): Promise<void> {
    while (this.#work.size > 0) await Promise.all(this.#work);
  }

  async close(): Promise<void> {
    this.#closing.abort();
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
    await this.quiet();
    this.#agent.destroy();
  }

  #keep(work: Promise<unknown>): void {
    const kept = work.catch(() => undefined).finally(() => this.#work.delete(kept));
    this.#work.add(kept);
  }

  /** Two numbers for each request, whatever comes of it, so that a seed means the same faults. */
  #choose(): { readonly fault: NetworkFault | null; readonly share: number } {
    const [chance, which, share] = [this.#random(), this.#random(), this.#random()];
    const fault = chance < this.rate ? (NETWORK_FAULTS[Math.floor(which * NETWORK_FAULTS.length)] ?? null) : null;
    if (fault !== null) this.done.set(fault, (this.done.get(fault) ?? 0) + 1);
    return { fault, share };
  }

  async #pass(incoming: http.IncomingMessage, response: http.ServerResponse): Promise<void> {
    const { fault, share } = this.#choose();
    const body = await readAll(incoming).catch(() => null);
    if (body === null) return;
    const { method = 'GET', url = '/', headers } = incoming;
    const request = { method, url, headers, body };
    const cut = () => incoming.socket.destroy();
    if (fault === 'drop-request') return void cut();
    if (fault === 'cut-request') {
      await this.#sendHalf(request, share);
      return void cut();
    }
    if (fault === 'delay-request') await this.#wait(share * LONGEST_DELAY_MS);
    const answer = await this.#ask(request, fault).catch(() => null);
    if (answer === null || fault === 'drop-answer') return void cut();
    if (fault === 'delay-answer') await this.#wait(share * LONGEST_DELAY_MS);
    response.writeHead(answer.status, { ...answer.headers, 'content-length': String(answer.body.length) });
    if (fault === 'cut-answer') {
      response.write(answer.body.subarray(0, Math.floor(answer.body.length * share)), () => cut());
      return;
    }
    response.end(answer.body);
    if (fault === 'late-repeat') {
      await this.#wait(share * LATE_MS);
      await this.#send(request);
    }
  }

  async #ask(request: Request, fault: NetworkFault | null): Promise<Answer> {
    if (fault === 'double') {
      const [first] = await Promise.all([this.#send(request), this.#send(request)]);
      return first;
    }
    const first = await this.#send(request);
    return fault === 'repeat' ? this.#send(request) : first;
  }

  #send({ method, url, headers, body }: Request): Promise<Answer> {
    return new Promise((resolve, reject) => {
      const { hostname, port } = this.#target;
      const sent = { ...headers, host: this.#target.host, 'content-length': String(body.length) };
      delete sent['transfer-encoding'];
      const request = http.request(
        { hostname, port, method, path: url, headers: sent, agent: this.#agent },
        (answer) => {
          readAll(answer).then(
            (whole) => resolve({ status: answer.statusCode ?? 502, headers: endToEnd(answer.headers), body: whole }),
            reject,
          );
        },
      );
      request.on('error', reject);
      request.end(body);
    });
  }

  /** As much of it as `share` says, then the connection is cut. */
  async #sendHalf({ method, url, headers, body }: Request, share: number): Promise<void> {
    const lines = Object.entries({ ...headers, host: this.#target.host, 'content-length': String(body.length) })
      .filter(([name]) => name !== 'transfer-encoding')
      .map(([name, value]) => `${name}: ${String(value)}\r\n`);
    const whole = Buffer.concat([Buffer.from(`${method} ${url} HTTP/1.1\r\n${lines.join('')}\r\n`), body]);
    const socket = net.connect(Number(this.#target.port), this.#target.hostname);
    socket.on('error', () => undefined);
    const closed = new Promise((resolve) => socket.once('close', resolve));
    socket.write(whole.subarray(0, Math.floor((whole.length - 1) * share)), () => socket.destroy());
    await closed;
  }

  async #wait(ms: number): Promise<void> {
    if (this.#closing.signal.aborted) return;
    await new Promise<void>((resolve) => {
      const over = (): void => {
        clearTimeout(timer);
        resolve();
      };
      const timer = setTimeout(() => {
        this.#closing.signal.removeEventListener('abort', over);
        resolve();
      }, ms);
      this.#closing.signal.addEventListener('abort', over, { once: true });
    });
  }
}

/** What a proxy does not pass on. */
function endToEnd(headers: http.IncomingHttpHeaders): http.IncomingHttpHeaders {
  const { connection: _, 'keep-alive': __, 'transfer-encoding': ___, ...rest } = headers;
  return rest;
}

async function readAll(stream: AsyncIterable<Buffer>): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(chunk);
  return Buffer.concat(chunks);
}
