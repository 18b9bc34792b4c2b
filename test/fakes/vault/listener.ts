import http from 'node:http';
import type { Duplex } from 'node:stream';
import type { Answer } from './answers.ts';
import type { RawRequest } from './request.ts';

/** Answers one request; `cut` ends the connection without a word. */
export type Respond = (request: RawRequest) => Promise<Answer | 'cut'>;

/**
 * HTTP on loopback. Node's parser does not know the method LIST, so such a request arrives as a parser error with its
 * bytes and is answered on the bare socket, which is then closed.
 */
export class Listener {
  readonly #respond: Respond;
  readonly #now: () => number;
  #server: http.Server | null = null;
  #port = 0;

  /** `now` is what the server's clock says, for the header Date. */
  constructor(respond: Respond, now: () => number) {
    this.#respond = respond;
    this.#now = now;
  }

  get origin(): string {
    return `http://127.0.0.1:${this.#port}`;
  }

  /** Listens; the second time on the port of the first. */
  async open(): Promise<void> {
    if (this.#server !== null) return;
    const server = http.createServer((request, response) => void this.#answer(request, response));
    server.on('clientError', (error, socket) => void this.#answerList(error, socket));
    server.keepAliveTimeout = 30_000;
    this.#server = server;
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(this.#port, '127.0.0.1', resolve);
    });
    const address = server.address();
    if (address === null || typeof address === 'string') throw new Error('not listening');
    this.#port = address.port;
  }

  /** From now on connections are refused; those there are, are cut. */
  async close(): Promise<void> {
    const server = this.#server;
    if (server === null) return;
    this.#server = null;
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  }

  async #answer(request: http.IncomingMessage, response: http.ServerResponse): Promise<void> {
    const body = await readAll(request).catch(() => null);
    if (body === null) return;
    const { method = '', url = '', headers, socket } = request;
    const single = Object.entries(headers).map(([name, value]) => [name, Array.isArray(value) ? value[0] : value]);
    const answer = await this.#respond({
      method,
      url,
      headers: Object.fromEntries(single),
      body,
      remote: socket.remoteAddress ?? '127.0.0.1',
    });
    if (answer === 'cut') {
      socket.destroy();
      return;
    }
    const text = bodyText(answer);
    response.writeHead(answer.status, this.#headers(answer, text));
    response.end(text);
  }

  async #answerList(error: Error & { rawPacket?: unknown }, socket: Duplex): Promise<void> {
    const head = Buffer.isBuffer(error.rawPacket) ? error.rawPacket.toString('latin1') : '';
    const [line = '', ...fields] = head.split('\r\n');
    const url = /^LIST (\S+) HTTP\/1\.1$/.exec(line)?.[1];
    if (url === undefined) {
      socket.destroy();
      return;
    }
    socket.on('error', () => socket.destroy());
    const headers = fields.flatMap((field) => {
      const [, name = '', value = ''] = /^([^:]+):\s*(.*)$/.exec(field) ?? [];
      return name === '' ? [] : [[name.toLowerCase(), value]];
    });
    const request = { method: 'LIST', url, headers: Object.fromEntries(headers), body: '', remote: '127.0.0.1' };
    const answer = await this.#respond(request);
    if (answer === 'cut') {
      socket.destroy();
      return;
    }
    const text = bodyText(answer);
    const lines = Object.entries({ ...this.#headers(answer, text), connection: 'close' });
    const top = [`HTTP/1.1 ${answer.status} ${http.STATUS_CODES[answer.status] ?? ''}`];
    socket.end([...top, ...lines.map(([name, value]) => `${name}: ${value}`), '', text].join('\r\n'));
  }

  #headers({ status, headers = {} }: Answer, text: string): Readonly<Record<string, string>> {
    return {
      date: new Date(this.#now()).toUTCString(),
      'cache-control': 'no-store',
      'content-type': 'application/json',
      ...(status === 204 ? {} : { 'content-length': String(Buffer.byteLength(text)) }),
      ...headers,
    };
  }
}

const bodyText = ({ body }: Answer): string =>
  body === undefined ? '' : typeof body === 'string' ? body : `${JSON.stringify(body)}\n`;

async function readAll(request: http.IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(Buffer.from(chunk));
  return Buffer.concat(chunks).toString('utf8');
}
