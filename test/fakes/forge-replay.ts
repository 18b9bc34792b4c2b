import { readFileSync } from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import type { AddressInfo } from 'node:net';
import { SecretText } from '../../src/domain/secret-text.ts';

/** An answer of a forge; `text` is sent as it is. */
export interface ReplayAnswer {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: unknown;
  readonly text?: string;
}

interface ReplayRequest {
  readonly method: string;
  readonly path: string;
  readonly query: URLSearchParams;
  /** Who asks; null: without a token, or with one that is no token of anybody. */
  readonly as: string | null;
  readonly headers: http.IncomingHttpHeaders;
  readonly body: unknown;
}

/** `hang`: never answers. `cut`: the connection breaks in the middle of the body. `reset`: it breaks at once. */
type Answering = (request: ReplayRequest) => ReplayAnswer | 'hang' | 'cut' | 'reset' | Promise<ReplayAnswer>;

interface Exchange {
  readonly request: {
    readonly method: string;
    readonly path: string;
    readonly as: string | null;
    readonly query?: Readonly<Record<string, string>>;
  };
  readonly response: ReplayAnswer;
}

const file = new URL('../fixtures/recordings/forgejo/adapter.json', import.meta.url);
const recorded = (JSON.parse(readFileSync(file, 'utf8')) as { readonly exchanges: readonly Exchange[] }).exchanges;

/** Serves recorded exchanges of a live Forgejo over real HTTP, and whatever a test puts before them. */
export class ForgeReplay {
  /** In order, with their query. */
  readonly seen: (ReplayRequest & { readonly url: string })[] = [];
  readonly #server: http.Server;
  readonly #rules: { readonly method: string; readonly path: RegExp; readonly answering: Answering }[] = [];

  private constructor(server: http.Server) {
    this.#server = server;
    server.on('request', (request, response) => void this.#handle(request, response));
  }

  static async start(tls?: { readonly cert: string; readonly key: string }): Promise<ForgeReplay> {
    const server = tls === undefined ? http.createServer() : https.createServer(tls);
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return new ForgeReplay(server);
  }

  get url(): string {
    const scheme = this.#server instanceof https.Server ? 'https' : 'http';
    return `${scheme}://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** From now on, before what was set earlier and what was recorded. */
  on(method: string, path: RegExp, answering: Answering | ReplayAnswer): void {
    const rule = typeof answering === 'function' ? answering : () => answering;
    this.#rules.unshift({ method, path, answering: rule });
  }

  /** Method and path of what was asked, without `/api/v1`. */
  get asked(): readonly string[] {
    return this.seen.map(({ method, path }) => `${method} ${path.replace('/api/v1', '')}`);
  }

  async close(): Promise<void> {
    const closed = new Promise((resolve) => this.#server.close(resolve));
    this.#server.closeAllConnections();
    await closed;
  }

  async #handle(request: http.IncomingMessage, response: http.ServerResponse): Promise<void> {
    const asked = await this.#read(request);
    this.seen.push(asked);
    const rule = this.#rules.find((each) => each.method === asked.method && each.path.test(asked.path));
    const answer = rule === undefined ? recordedAnswer(asked) : await rule.answering(asked);
    if (answer === 'hang') return;
    if (answer === 'reset') request.socket.destroy();
    else if (answer === 'cut') {
      response.writeHead(200, { 'content-type': 'application/json', 'content-length': '1000' });
      response.write('{"half":', () => request.socket.destroy());
    } else {
      response.writeHead(answer.status, answer.headers);
      response.end(answer.text ?? (answer.body === undefined ? '' : JSON.stringify(answer.body)));
    }
  }

  async #read(request: http.IncomingMessage): Promise<ReplayRequest & { readonly url: string }> {
    const chunks: Uint8Array[] = [];
    for await (const chunk of request) chunks.push(chunk as Uint8Array);
    const text = Buffer.concat(chunks).toString('utf8');
    const { method = 'GET', url = '/', headers } = request;
    const { pathname: path, searchParams: query } = new URL(url, this.url);
    const as = /^(?:token|Bearer) token-of-(\S+)$/.exec(headers.authorization ?? '')?.[1] ?? null;
    return { method, url, path, query, as, headers, body: text === '' ? null : (JSON.parse(text) as unknown) };
  }
}

/** What was recorded for this method, path, query and asker; else 404, as of a path that the forge does not know. */
function recordedAnswer(request: ReplayRequest): ReplayAnswer {
  const found = recorded.find(
    (each) =>
      each.request.method === request.method &&
      each.request.path === request.path &&
      (each.request.as === null || each.request.as === request.as) &&
      hasQuery(request.query, each.request.query ?? {}),
  );
  return found?.response ?? { status: 404, body: { message: 'nothing was recorded for this' } };
}

/** A whole list is its own first page. */
function hasQuery(asked: URLSearchParams, known: Readonly<Record<string, string>>): boolean {
  const left = [...asked].filter(([key, value]) => !(key === 'page' && value === '1') && key !== 'limit');
  return left.length === Object.keys(known).length && left.every(([key, value]) => known[key] === value);
}

export const tokenOf = (login: string): SecretText => new SecretText(`token-of-${login}`);
