import { readFileSync } from 'node:fs';
import { Agent, type ClientRequest, type IncomingMessage, request as requestHttp } from 'node:http';
import type { TLSSocket } from 'node:tls';
import { errorCode, RunnerError } from './runner-error.ts';

/** One call of the API. What it holds (token, body) is sent and never told. */
export interface VaultCall {
  readonly method: 'GET' | 'POST';
  /** Beneath /v1/. */
  readonly path: string;
  /** null: the call needs none. */
  readonly token: string | null;
  readonly body?: Readonly<Record<string, string>>;
}

/** The server's own word. */
export interface VaultAnswer {
  readonly status: number;
  /** undefined: it was no JSON. */
  readonly body: unknown;
  /** Milliseconds of the server's clock, to the second; of ours where it does not say. */
  readonly at: number;
}

/** There was no whole answer. */
interface NoAnswer {
  readonly status: null;
  /** `ECONNREFUSED` and the like. */
  readonly why: string;
  /** false: the server can't have seen the call. */
  readonly mayHaveArrived: boolean;
}

export type VaultReply = VaultAnswer | NoAnswer;

/** Of one answer; a secret of the size that a server takes fits in. */
const MAX_ANSWER_BYTES = 4 << 20;

/**
 * Talks to one Vault or OpenBao over one connection. A client of our own: it follows no redirect, knows no proxy, and
 * no error of it holds a token, a header or a body.
 */
export class VaultClient {
  /** For messages: scheme, host and port. */
  readonly origin: string;
  readonly #base: URL;
  readonly #headers: Readonly<Record<string, string>>;
  readonly #transport: Transport;

  private constructor(base: URL, namespace: string, transport: Transport) {
    this.origin = base.origin;
    this.#base = base;
    this.#headers = { 'X-Vault-Request': 'true', ...(namespace === '' ? {} : { 'X-Vault-Namespace': namespace }) };
    this.#transport = transport;
  }

  /**
   * `caFile`: PEM of who may have signed the server's certificate, in place of the usual ones; null: the usual ones.
   * Throws RunnerError (ERR_PAYLOAD, ERR_VAULT_UNAVAILABLE); does not connect yet.
   */
  static async create(address: string, namespace: string, caFile: string | null): Promise<VaultClient> {
    const base = URL.canParse(address) ? new URL(address) : null;
    if (base === null || !['http:', 'https:'].includes(base.protocol)) {
      throw new RunnerError('ERR_PAYLOAD', 'the payload names no address of a Vault');
    }
    const transport = base.protocol === 'http:' ? plainTransport() : await tlsTransport(caFile);
    return new VaultClient(base, namespace, transport);
  }

  /** Sends the call once. Never throws. `signal` ends it early; what was sent by then may have its effect. */
  async send(call: VaultCall, signal: AbortSignal): Promise<VaultReply> {
    const body = call.body === undefined ? null : JSON.stringify(call.body);
    const headers = {
      ...this.#headers,
      ...(call.token === null ? {} : { 'X-Vault-Token': call.token }),
      ...(body === null ? {} : { 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(body) }),
    };
    const { agent, request } = this.#transport;
    const url = new URL(`/v1/${call.path.split('/').map(encodeURIComponent).join('/')}`, this.#base);
    try {
      const sent = request(url, { method: call.method, headers, agent, signal });
      return await replyTo(sent, body);
    } catch (error) {
      return { status: null, why: errorCode(error) ?? 'error', mayHaveArrived: false };
    }
  }

  close(): void {
    this.#transport.agent.destroy();
  }
}

interface Transport {
  readonly agent: Agent;
  readonly request: typeof requestHttp;
}

const ONE_CONNECTION = { keepAlive: true, maxSockets: 1 };

function plainTransport(): Transport {
  return { agent: new Agent(ONE_CONNECTION), request: requestHttp };
}

/** TLS is loaded where it is used: it is much of what a start costs. */
async function tlsTransport(caFile: string | null): Promise<Transport> {
  const ca = caFile === null ? {} : { ca: readCa(caFile) };
  const https = await import('node:https');
  return { agent: new https.Agent({ ...ONE_CONNECTION, ...ca, minVersion: 'TLSv1.2' }), request: https.request };
}

function readCa(file: string): Buffer {
  try {
    return readFileSync(file);
  } catch (error) {
    const why = errorCode(error) ?? 'error';
    throw new RunnerError(
      'ERR_VAULT_UNAVAILABLE',
      `${file} of VAULT_CACERT can't be read (${why}); nothing was started`,
    );
  }
}

function replyTo(request: ClientRequest, body: string | null): Promise<VaultReply> {
  return new Promise((resolve) => {
    let isConnected = false;
    request.once('socket', (socket: TLSSocket) => {
      const connected = (): void => {
        isConnected = true;
      };
      if (request.reusedSocket) connected();
      else socket.once('encrypted' in socket ? 'secureConnect' : 'connect', connected);
    });
    const fail = (why: string): void => resolve({ status: null, why, mayHaveArrived: isConnected });
    request.once('error', (error) => fail(errorCode(error) ?? 'error'));
    request.once('response', (response) => {
      readAnswer(response).then(resolve, (error) => fail(errorCode(error) ?? 'error'));
    });
    request.end(body);
  });
}

async function readAnswer(response: IncomingMessage): Promise<VaultAnswer> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of response as AsyncIterable<Uint8Array>) {
    length += chunk.length;
    if (length > MAX_ANSWER_BYTES) throw Object.assign(new Error('too long'), { code: 'EMSGSIZE' });
    chunks.push(chunk);
  }
  const at = Date.parse(response.headers.date ?? '');
  return {
    status: response.statusCode ?? 0,
    body: parseJson(Buffer.concat(chunks).toString('utf8')),
    at: Number.isNaN(at) ? Date.now() : at,
  };
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** What lies at `keys` in a JSON value; undefined: nothing does. */
export function fieldOf(value: unknown, ...keys: readonly string[]): unknown {
  let inner = value;
  for (const key of keys) {
    if (typeof inner !== 'object' || inner === null || !Object.hasOwn(inner, key)) return undefined;
    inner = (inner as Record<string, unknown>)[key];
  }
  return inner;
}

/** The texts of a JSON list; of anything else none. */
export function textsOf(value: unknown): readonly string[] {
  return Array.isArray(value) ? value.filter((each) => typeof each === 'string') : [];
}
