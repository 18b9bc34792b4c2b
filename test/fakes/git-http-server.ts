import { spawn } from 'node:child_process';
import http from 'node:http';
import path from 'node:path';
import process from 'node:process';

/**
 * A git server over HTTP on loopback: `git http-backend` behind node:http. It counts, and on request it fails as forges
 * and networks do. Everything beneath `root` is served; `<origin>/<name>.git` is the address of `<root>/<name>.git`.
 */

export interface GitHttpServerOptions {
  readonly root: string;
  /** Basic authentication with these is asked for, for reading too. */
  readonly username?: string;
  readonly token?: string;
}

export interface SeenRequest {
  readonly method: string;
  /** With query. */
  readonly url: string;
  readonly status: number;
  readonly authorization: string | undefined;
  /** Of the answer's body. */
  readonly bytes: number;
}

export class GitHttpServer {
  /** Addresses of the form `http://127.0.0.1:<port>`. */
  readonly origin: string;
  readonly requests: SeenRequest[] = [];
  /** Pushes that git answered; refused ones too. */
  receivedPushes = 0;
  /** Cuts the connection instead of answering this many of the next pushes; what they did stays done. */
  dropPushAnswers = 0;
  /** Cuts the connection of this many of the next pushes before anything is done. */
  dropPushes = 0;
  /** Answers this many of the next requests with 503. */
  unavailable = 0;
  /** Answers this many of the next pushes (the POST, after the refs were shown) with this status, nothing is done. */
  failPushes = { count: 0, status: 500 };
  /** Waits for this before it answers the request with this body. */
  hold: ((body: string) => Promise<void> | undefined) | undefined;
  /** Passes on another body in place of git's answer to the request with this body; it may be the same. */
  alter: ((answer: Buffer, request: string) => Buffer) | undefined;
  /** Waits so long before every answer. */
  delayMs = 0;
  /** Redirects all requests there, if set. */
  redirectTo: string | undefined;
  /** Redirects one path to another, as forges do after a repo was renamed. */
  renamed: { readonly from: string; readonly to: string } | undefined;
  readonly #options: GitHttpServerOptions;
  readonly #delayed = new Map<NodeJS.Timeout, () => void>();
  readonly #server: http.Server;

  private constructor(options: GitHttpServerOptions, server: http.Server) {
    this.#options = options;
    this.#server = server;
    const address = server.address();
    if (address === null || typeof address === 'string') throw new Error('not listening');
    this.origin = `http://127.0.0.1:${address.port}`;
  }

  static async start(options: GitHttpServerOptions): Promise<GitHttpServer> {
    const server = http.createServer();
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const fake = new GitHttpServer(options, server);
    server.on('request', (request, response) => void fake.#answer(request, response));
    return fake;
  }

  /** Requests that reached it and pushes that were answered, from here on. */
  forget(): void {
    this.requests.length = 0;
    this.receivedPushes = 0;
  }

  async close(): Promise<void> {
    for (const [timer, resolve] of this.#delayed) {
      clearTimeout(timer);
      resolve();
    }
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  async #answer(request: http.IncomingMessage, response: http.ServerResponse): Promise<void> {
    const body = await readAll(request).catch(() => null);
    if (body === null) return;
    await this.hold?.(body.toString('latin1'));
    if (this.delayMs > 0) await this.#wait(this.delayMs);
    const isPush = request.method === 'POST' && (request.url ?? '').endsWith('/git-receive-pack');
    const fault = this.#fault(request, isPush);
    if (fault !== null) return this.#end(request, response, fault);
    if (isPush && this.dropPushes > 0) {
      this.dropPushes -= 1;
      request.socket.destroy();
      return;
    }
    const answer = await this.#backend(request, body);
    if (isPush) this.receivedPushes += 1;
    if (isPush && this.dropPushAnswers > 0) {
      this.dropPushAnswers -= 1;
      request.socket.destroy();
      return;
    }
    this.#end(request, response, answer);
  }

  #wait(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(() => {
        this.#delayed.delete(timer);
        resolve();
      }, ms);
      this.#delayed.set(timer, resolve);
    });
  }

  #fault(request: http.IncomingMessage, isPush: boolean): Answer | null {
    const { url = '' } = request;
    if (this.redirectTo !== undefined) return plain(302, { location: `${this.redirectTo}${url}` });
    if (this.renamed !== undefined && url.startsWith(this.renamed.from)) {
      return plain(301, { location: `${this.origin}${this.renamed.to}${url.slice(this.renamed.from.length)}` });
    }
    if (this.unavailable > 0) {
      this.unavailable -= 1;
      return plain(503, {});
    }
    if (!this.#isAllowed(request)) return plain(401, { 'www-authenticate': 'Basic realm="git"' });
    if (isPush && this.failPushes.count > 0) {
      this.failPushes.count -= 1;
      return plain(this.failPushes.status, {});
    }
    return null;
  }

  #isAllowed(request: http.IncomingMessage): boolean {
    const { token, username = '' } = this.#options;
    if (token === undefined) return true;
    const [kind, value = ''] = (request.headers.authorization ?? '').split(' ');
    return kind === 'Basic' && Buffer.from(value, 'base64').toString() === `${username}:${token}`;
  }

  #end(request: http.IncomingMessage, response: http.ServerResponse, answer: Answer): void {
    this.requests.push({
      method: request.method ?? '',
      url: request.url ?? '',
      status: answer.status,
      authorization: request.headers.authorization,
      bytes: answer.body.length,
    });
    response.writeHead(answer.status, answer.headers).end(answer.body);
  }

  async #backend(request: http.IncomingMessage, body: Buffer): Promise<Answer> {
    const { pathname, search } = new URL(request.url ?? '/', this.origin);
    const child = spawn('git', ['http-backend'], {
      env: {
        PATH: process.env['PATH'],
        HOME: '/nonexistent',
        GIT_CONFIG_NOSYSTEM: '1',
        GIT_CONFIG_GLOBAL: '/dev/null',
        GIT_CONFIG_COUNT: '1',
        GIT_CONFIG_KEY_0: 'http.receivepack',
        GIT_CONFIG_VALUE_0: 'true',
        GIT_PROJECT_ROOT: path.resolve(this.#options.root),
        GIT_HTTP_EXPORT_ALL: '1',
        GIT_HTTP_MAX_REQUEST_BUFFER: '100M',
        GIT_PROTOCOL: String(request.headers['git-protocol'] ?? ''),
        HTTP_CONTENT_ENCODING: String(request.headers['content-encoding'] ?? ''),
        REQUEST_METHOD: request.method,
        PATH_INFO: decodeURIComponent(pathname),
        QUERY_STRING: search.slice(1),
        CONTENT_TYPE: request.headers['content-type'] ?? '',
        CONTENT_LENGTH: String(body.length),
        REMOTE_ADDR: '127.0.0.1',
        REMOTE_USER: this.#options.username ?? 'somebody',
      },
    });
    child.stdin.on('error', () => undefined);
    child.stdin.end(body);
    child.stderr.resume();
    const answer = parseCgi(await readAll(child.stdout));
    return { ...answer, body: this.alter?.(answer.body, body.toString('latin1')) ?? answer.body };
  }
}

interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
}

function plain(status: number, headers: Readonly<Record<string, string>>): Answer {
  return { status, headers, body: Buffer.from('\n') };
}

async function readAll(stream: AsyncIterable<Buffer>): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(chunk);
  return Buffer.concat(chunks);
}

function parseCgi(output: Buffer): Answer {
  const end = output.indexOf('\r\n\r\n');
  const lines = output.toString('latin1', 0, Math.max(end, 0)).split('\r\n');
  const headers = Object.fromEntries(lines.map((line) => line.split(/:\s*/, 2) as [string, string]));
  const status = Number.parseInt(headers['Status'] ?? '200', 10);
  return { status: end === -1 ? 500 : status, headers, body: output.subarray(end + 4) };
}
