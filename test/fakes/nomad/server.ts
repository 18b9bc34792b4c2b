import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import type { Effect, Faults } from './faults.ts';
import type { Answer, Call } from './http.ts';
import { bodyOf, Refusal, sendAnswer } from './http.ts';
import type { Parts, Route } from './route.ts';
import { isRegionKnown } from './route.ts';
import { ROUTES } from './routes.ts';

/** One request as it came in, without headers and body. */
export interface SeenRequest {
  readonly route: string;
  readonly method: string;
  /** With the query. */
  readonly url: string;
}

type ReadRequest = Pick<Call, 'request' | 'response' | 'body'> & { readonly url: URL };

/** Where to listen; by default plain HTTP on a free port of loopback. */
export interface ListenOptions {
  /** A socket like the Task API's `api.sock`. */
  readonly socketPath?: string;
  /** PEM. With `ca`, clients have to show a certificate that it signed. */
  readonly tls?: { readonly key: string; readonly cert: string; readonly ca?: string };
}

/** The HTTP side: listens, finds the route, applies faults, turns refusals into answers. */
export class ApiServer {
  readonly seen: SeenRequest[] = [];
  /** Connections above it get a 429. */
  connectionLimit = 100;
  /** So many requests get the 403 of an agent that starts. */
  starting = 0;
  readonly #parts: Parts;
  readonly #faults: Faults;
  readonly #where: ListenOptions;
  readonly #sockets = new Set<Socket>();
  #server = createServer();
  #port = 0;

  constructor(parts: Parts, faults: Faults, where: ListenOptions) {
    this.#parts = parts;
    this.#faults = faults;
    this.#where = where;
  }

  get address(): string {
    const { socketPath, tls } = this.#where;
    return socketPath === undefined ? `${tls ? 'https' : 'http'}://127.0.0.1:${this.#port}` : `unix://${socketPath}`;
  }

  /** On the port it had before, if any. */
  async listen(): Promise<void> {
    const { socketPath, tls } = this.#where;
    const serve = (request: IncomingMessage, response: ServerResponse) => void this.#serve(request, response);
    this.#server = tls ? createTlsServer({ ...tls, requestCert: tls.ca !== undefined }, serve) : createServer(serve);
    this.#server.on('connection', (socket: Socket) => {
      this.#sockets.add(socket);
      socket.once('close', () => this.#sockets.delete(socket));
    });
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject);
      if (socketPath === undefined) this.#server.listen(this.#port, '127.0.0.1', resolve);
      else this.#server.listen(socketPath, resolve);
    });
    if (socketPath === undefined) this.#port = (this.#server.address() as AddressInfo).port;
  }

  /** Connections are refused from now on, and those that are open are cut. */
  async close(): Promise<void> {
    if (!this.#server.listening) return;
    const closed = new Promise((resolve) => this.#server.close(resolve));
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    try {
      await this.#withFaults(request, response);
    } catch (error) {
      if (response.destroyed || response.headersSent) return void response.destroy();
      if (error instanceof Refusal) return refuse(response, error);
      refuse(response, new Refusal(599, `the fake itself failed: ${String(error)}`));
    }
  }

  async #withFaults(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? '/', 'http://nomad');
    const path = decodeURIComponent(url.pathname);
    const method = request.method ?? '';
    const route = ROUTES.find((one) => one.path.test(path) && one.method.test(method));
    this.seen.push({ route: route?.name ?? 'unknown', method, url: `${url.pathname}${url.search}` });
    const body = await bodyOf(request);
    const effect = this.#faults.take(request);
    if (!(await mayGoOn(effect, request))) return;
    const answer = await this.#answer(route, path, { request, response, url, body });
    if (effect?.kind === 'lose-answer') request.socket.destroy();
    else if (answer !== null && !response.destroyed) sendAnswer(response, answer);
  }

  async #answer(route: Route | undefined, path: string, read: ReadRequest): Promise<Answer> {
    this.#checkConnections();
    this.#checkStarting();
    if (!route) throw new Refusal(404, '');
    const call = this.#callOf(read, route.path.exec(path)?.slice(1) ?? []);
    checkRegion(call, route);
    return await route.answer(call, this.#parts);
  }

  #callOf(read: ReadRequest, parts: readonly (string | undefined)[]): Call {
    const query = read.url.searchParams;
    return {
      request: read.request,
      response: read.response,
      body: read.body,
      method: read.request.method ?? '',
      parts: parts.map((part) => part ?? ''),
      query,
      namespace: query.get('namespace') || 'default',
      rights: this.#parts.acl.rightsOf(secretOf(read.request)),
    };
  }

  #checkConnections(): void {
    if (this.#sockets.size <= this.connectionLimit) return;
    const text = 'Your IP is issuing too many concurrent connections, please rate limit your calls\n';
    throw new Refusal(429, text);
  }

  #checkStarting(): void {
    if (this.starting === 0) return;
    this.starting -= 1;
    throw new Refusal(403, 'Permission denied');
  }
}

async function mayGoOn(effect: Effect | null, request: IncomingMessage): Promise<boolean> {
  if (effect?.kind === 'answer') throw new Refusal(effect.status, effect.text);
  if (effect?.kind === 'hang') await effect.released;
  if (effect?.kind === 'cut') request.socket.destroy();
  return effect?.kind !== 'cut';
}

/** In either header. */
function secretOf({ headers }: IncomingMessage): string {
  const token = headers['x-nomad-token'];
  const bearer = /^Bearer (.+)$/.exec(headers.authorization ?? '')?.[1];
  return typeof token === 'string' ? token : (bearer ?? '');
}

/** The event stream alone stays silent about it. */
function checkRegion(call: Call, route: Route): void {
  if (!isRegionKnown(call) && route.name !== 'event stream') throw new Refusal(500, 'No path to region');
}

/** A 429 closes the connection and names no character set, as the limiter writes it. */
function refuse(response: ServerResponse, { status, message, index }: Refusal): void {
  const limiter = { 'content-type': 'text/plain', connection: 'close' };
  sendAnswer(response, {
    status,
    text: message,
    ...(index === undefined ? {} : { index, isRead: true }),
    ...(status === 429 ? { headers: limiter } : {}),
  });
}
