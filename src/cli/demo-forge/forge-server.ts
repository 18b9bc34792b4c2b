import http from 'node:http';
import type { DemoForge } from './model.ts';
import { ForgeRefusal, type User } from './records.ts';

/** HTTP on loopback for one dialect of the fake forge: tokens, a count of what was asked, and faults on request. */

export interface ForgeRequest {
  readonly method: string;
  /** Decoded, without the query. */
  readonly path: string;
  readonly query: URLSearchParams;
  /** null: no token, or an unknown one (`badToken`). */
  readonly token: Token | null;
  readonly badToken: boolean;
  /** Parsed JSON; null: none. */
  readonly body: Readonly<Record<string, unknown>> | null;
  readonly headers: http.IncomingHttpHeaders;
}

export interface Token {
  readonly user: User;
  readonly scopes: readonly string[];
}

export interface ForgeAnswer {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  /** Absent: an empty body. */
  readonly body?: unknown;
}

export interface SeenRequest {
  readonly method: string;
  /** With the query. */
  readonly url: string;
  readonly login: string | null;
  readonly status: number;
}

/** How a forge speaks: its paths, its JSON, its statuses. */
export interface Dialect {
  answer(request: ForgeRequest, origin: string): ForgeAnswer;
  refuse(refusal: ForgeRefusal, origin: string): ForgeAnswer;
}

export class ForgeServer {
  readonly forge: DemoForge;
  /** `http://127.0.0.1:<port>` */
  readonly origin: string;
  readonly requests: SeenRequest[] = [];
  /** What goes wrong; all may be changed at any time. `times` count down, Infinity: always. */
  readonly faults = {
    /** Cuts every connection. */
    down: false,
    /** Too many requests; `retryAfter` in seconds, null: the forge names no time. */
    limited: { times: 0, retryAfter: null as number | null, status: 429 },
    /** For paths (with query) that match. */
    broken: { path: /$^/, times: 0, status: 502 },
    /** Answers 200 with a page of HTML where JSON belongs, as a proxy does. */
    garbled: { path: /$^/, times: 0 },
  };
  readonly #dialect: Dialect;
  readonly #tokens = new Map<string, Token>();
  readonly #server: http.Server;

  private constructor(forge: DemoForge, dialect: Dialect, server: http.Server) {
    this.forge = forge;
    this.#dialect = dialect;
    this.#server = server;
    const address = server.address();
    if (address === null || typeof address === 'string') throw new Error('not listening');
    this.origin = `http://127.0.0.1:${address.port}`;
  }

  static async start(forge: DemoForge, dialect: Dialect): Promise<ForgeServer> {
    // Longer than whoever asks is silent: a connection that is closed just then is an outage to them.
    const server = http.createServer({ keepAliveTimeout: 120_000 });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const started = new ForgeServer(forge, dialect, server);
    server.on('request', (request, response) => void started.#handle(request, response));
    return started;
  }

  /** A new token of this account; which scopes there are is the dialect's. */
  addToken(login: string, scopes: readonly string[]): string {
    const text = `demo-forge-token-${this.#tokens.size + 1}-${login}`;
    this.#tokens.set(text, { user: this.forge.state.user(login), scopes });
    return text;
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  async #handle(request: http.IncomingMessage, response: http.ServerResponse): Promise<void> {
    const body = await readJson(request);
    const [method, url] = [request.method ?? 'GET', request.url ?? '/'];
    if (this.faults.down) {
      this.requests.push({ method, url, login: null, status: 0 });
      request.socket.destroy();
      return;
    }
    const { text, token } = this.#tokenOf(request.headers.authorization);
    const answer =
      this.#fault(url) ?? this.#answer(request, { body, token, badToken: text !== null && token === null });
    this.requests.push({ method, url, login: token?.user.login ?? null, status: answer.status });
    const isText = typeof answer.body === 'string';
    const content = isText ? String(answer.body) : answer.body === undefined ? '' : JSON.stringify(answer.body);
    const type = isText ? 'text/html;charset=utf-8' : 'application/json;charset=utf-8';
    response.writeHead(answer.status, { 'content-type': type, ...answer.headers }).end(content);
  }

  #answer(
    { method = 'GET', url = '/', headers }: http.IncomingMessage,
    rest: Pick<ForgeRequest, 'body' | 'token' | 'badToken'>,
  ): ForgeAnswer {
    const { pathname, searchParams } = new URL(url, this.origin);
    this.forge.notice();
    try {
      const request = { method, path: decodeURIComponent(pathname), query: searchParams, headers, ...rest };
      return this.#dialect.answer(request, this.origin);
    } catch (error) {
      if (error instanceof ForgeRefusal) return this.#dialect.refuse(error, this.origin);
      return { status: 500, body: { message: String(error) } };
    }
  }

  #fault(url: string): ForgeAnswer | null {
    const { limited, broken, garbled } = this.faults;
    if (limited.times > 0) {
      limited.times -= 1;
      const headers: Record<string, string> =
        limited.retryAfter === null ? {} : { 'retry-after': `${limited.retryAfter}` };
      return { status: limited.status, headers, body: { message: 'too many requests' } };
    }
    if (broken.times > 0 && broken.path.test(url)) {
      broken.times -= 1;
      return { status: broken.status, body: '<html>bad gateway</html>' };
    }
    if (garbled.times === 0 || !garbled.path.test(url)) return null;
    garbled.times -= 1;
    return { status: 200, body: '<html>please log in</html>' };
  }

  /** `token`, `Bearer`, or Basic with the token as password or as user. */
  #tokenOf(authorization: string | undefined): { readonly text: string | null; readonly token: Token | null } {
    const [, scheme = '', value = ''] = /^(\S+) (\S+)$/.exec(authorization ?? '') ?? [];
    if (value === '') return { text: null, token: null };
    const basic = Buffer.from(value, 'base64').toString('utf8').split(':');
    const texts = scheme.toLowerCase() === 'basic' ? basic.toReversed() : [value];
    const token = texts.map((text) => this.#tokens.get(text)).find((found) => found !== undefined) ?? null;
    return { text: value, token: token?.user.gone === true ? null : token };
  }
}

async function readJson(request: http.IncomingMessage): Promise<Readonly<Record<string, unknown>> | null> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(Buffer.from(chunk as Uint8Array));
  try {
    return JSON.parse(Buffer.concat(chunks).toString('utf8')) as Record<string, unknown>;
  } catch {
    return null;
  }
}
