import { readFile } from 'node:fs/promises';
import http from 'node:http';
import https from 'node:https';
import fetch, { type RequestInit } from 'node-fetch';
import nodeVault from 'node-vault';
import { z } from 'zod';
import type { SecretText } from '../../../domain/secret-text.ts';
import { StalledError } from '../../../errors.ts';
import { type AnswerKind, failure, kindOf } from './answers.ts';

/*
 * The one file that knows node-vault. Of the library, the address, its verbs and its paths are used; left out is what
 * would let a secret out or send it elsewhere:
 *
 *   its transport    takes a proxy from the environment, follows redirects with the token, ignores abort signals, and
 *                    throws errors that hold token and body: exchanged for node-fetch
 *   its debug output prints bodies: switched off
 *   its environment  VAULT_TOKEN, VAULT_NAMESPACE and VAULT_PREFIX would fill what we leave empty: emptied
 *   its own errors   quote the server: every answer is handed on as it is, and judged in answers.ts
 */

export interface VaultRequest {
  /** What this is for, in words of ours: `mint a token`. */
  readonly doing: string;
  readonly method: 'GET' | 'LIST' | 'POST';
  /** Without `/v1/` and without slash at its ends. */
  readonly path: string;
  readonly body?: Readonly<Record<string, unknown>>;
  readonly headers?: Readonly<Record<string, string>>;
  /** Sent outside of any namespace. */
  readonly global?: boolean;
  readonly signal?: AbortSignal | undefined;
}

export interface Answer {
  readonly kind: AnswerKind;
  readonly status: number;
  /** Parsed JSON; null: none, or no JSON. */
  readonly body: unknown;
  /** The server's clock, to the second; null: it does not say. */
  readonly serverTime: Date | null;
  readonly retryAfterMs: number | undefined;
}

export interface ClientOptions {
  readonly address: string;
  readonly namespace: string;
  /** PEM; empty: the roots that Node knows. */
  readonly ca_file: string;
  readonly timeoutMs?: number;
}

const TIMEOUT_MS = 10_000;
const MOST_BYTES = 4 * 1024 * 1024;
/** Well below the 100 connections that a server allows one address: every client there counts. */
const MOST_SOCKETS = 16;
const PATH = /^(?!.*(?:^|\/)\.{0,2}(?:\/|$))[A-Za-z0-9._/-]+$/;
const CODE = /^[A-Z][A-Z0-9_]{0,63}$/;

const AGENT = { keepAlive: true, maxSockets: MOST_SOCKETS } as const;

export class VaultClient {
  readonly #options: ClientOptions;
  readonly #timeoutMs: number;
  readonly #library: nodeVault.client;
  #agent: { readonly ca: string; readonly agent: http.Agent } | null = null;

  constructor(options: ClientOptions) {
    this.#options = options;
    this.#timeoutMs = options.timeoutMs ?? TIMEOUT_MS;
    this.#library = nodeVault({
      endpoint: options.address,
      debug: () => undefined,
      'request-promise': { defaults: () => exchange },
    });
    const handOn: unknown = (answer: unknown) => Promise.resolve(answer);
    Object.assign(this.#library, { token: '', namespace: '', pathPrefix: '', handleVaultResponse: handOn });
  }

  /**
   * One request, one answer of whatever kind. Throws TransientError when there is none, StalledError when `ca_file`
   * can't be read, and the reason of the signal when that was aborted.
   */
  async send(request: VaultRequest, token: SecretText | null): Promise<Answer> {
    const { doing, path, signal } = request;
    if (!PATH.test(path)) throw new Error('not a path of the API');
    signal?.throwIfAborted();
    const agent = await this.#agentNow();
    const limit = new AbortController();
    const stop = (): void => limit.abort();
    const timer = setTimeout(stop, this.#timeoutMs);
    signal?.addEventListener('abort', stop, { once: true });
    try {
      const answer: unknown = await this.#library.request({
        ...asLibraryCall(request),
        headers: this.#headersOf(request, token),
        agent,
        signal: limit.signal,
      });
      return read(answer);
    } catch (error) {
      // No cause is kept: what node-fetch and node-vault throw may hold the request.
      signal?.throwIfAborted();
      if (limit.signal.aborted) throw failure('silent', doing);
      throw failure('unreachable', doing, { mark: codeOf(error) });
    } finally {
      clearTimeout(timer);
      signal?.removeEventListener('abort', stop);
    }
  }

  #headersOf({ headers, global }: VaultRequest, token: SecretText | null): Record<string, string> {
    const { namespace } = this.#options;
    return {
      ...headers,
      // A guard against forged requests: a server may be set up to refuse those without it.
      'X-Vault-Request': 'true',
      ...(token === null ? {} : { 'X-Vault-Token': token.reveal() }),
      ...(namespace === '' || global === true ? {} : { 'X-Vault-Namespace': namespace }),
    };
  }

  /** `ca_file` is read again each time, since certificates are rotated; connections are kept while it is the same. */
  async #agentNow(): Promise<http.Agent> {
    const { ca_file: file, address } = this.#options;
    const ca = file === '' ? '' : await readCa(file);
    if (this.#agent === null || this.#agent.ca !== ca) {
      const secure = address.startsWith('https:');
      const trust = ca === '' ? {} : { ca };
      this.#agent = { ca, agent: secure ? new https.Agent({ ...AGENT, ...trust }) : new http.Agent(AGENT) };
    }
    return this.#agent.agent;
  }
}

/** LIST is a word that not every proxy knows; the servers take the query as well. */
function asLibraryCall({ method, path, body }: VaultRequest): { path: string; method: string; json?: object } {
  const list = method === 'LIST';
  return {
    path: `/${path}${list ? '?list=true' : ''}`,
    method: list ? 'GET' : method,
    ...(body === undefined ? {} : { json: body }),
  };
}

interface LibraryCall {
  readonly uri: string;
  readonly method: string;
  readonly headers: Record<string, string>;
  readonly json?: object;
  readonly agent: http.Agent;
  readonly signal: AbortSignal;
}

interface RawAnswer {
  readonly status: number;
  readonly text: string;
  readonly date: string | null;
  readonly retryAfter: string | null;
}

async function exchange({ uri, method, headers, json, agent, signal }: LibraryCall): Promise<RawAnswer> {
  const common: RequestInit = { method, agent, signal, redirect: 'manual', size: MOST_BYTES };
  const sent: RequestInit =
    json === undefined
      ? { ...common, headers }
      : { ...common, headers: { ...headers, 'Content-Type': 'application/json' }, body: JSON.stringify(json) };
  const response = await fetch(uri, sent);
  const text = await response.text();
  return {
    status: response.status,
    text,
    date: response.headers.get('date'),
    retryAfter: response.headers.get('retry-after'),
  };
}

const rawAnswer = z.object({
  status: z.int(),
  text: z.string(),
  date: z.string().nullable(),
  retryAfter: z.string().nullable(),
});

function read(answer: unknown): Answer {
  const { status, text, date, retryAfter } = rawAnswer.parse(answer);
  const body = parsed(text);
  const time = date === null ? Number.NaN : Date.parse(date);
  const seconds = /^\d{1,5}$/.test(retryAfter ?? '') ? Number(retryAfter) : undefined;
  return {
    kind: kindOf(status, body),
    status,
    body,
    serverTime: Number.isNaN(time) ? null : new Date(time),
    retryAfterMs: seconds === undefined ? undefined : seconds * 1000,
  };
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

async function readCa(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    throw new StalledError('ERR_ACCESS_DENIED', `ca_file of [access.vault] can not be read (${codeOf(error)})`);
  }
}

/** The system's code of an error and nothing else of it. */
function codeOf(error: unknown): string {
  const code: unknown = error instanceof Error && 'code' in error ? error.code : undefined;
  return typeof code === 'string' && CODE.test(code) ? code : 'no answer';
}

/** The answer in the expected shape. Throws by the kind of the answer, or TransientError when it can't be read. */
export function expectOk<T>(answer: Answer, doing: string, schema: z.ZodType<T>): T {
  const { kind, status, body, retryAfterMs } = answer;
  if (kind !== 'ok') throw failure(kind, doing, { mark: status, retryAfterMs });
  const found = schema.safeParse(body);
  // Not the schema's own error: it may quote the answer.
  if (!found.success) throw failure('unreadable', doing);
  return found.data;
}
