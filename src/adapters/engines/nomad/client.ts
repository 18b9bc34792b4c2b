import fetch, { type Response } from 'node-fetch';
import { z } from 'zod';
import { StalledError, TransientError } from '../../../errors.ts';
import type { Clock } from '../../../ports/clock.ts';
import { Lanes } from '../../lanes.ts';
import { errorOf, Refusal, readAnswer } from './answers.ts';
import { Connections } from './client-connections.ts';
import { TimeLimit } from './client-limit.ts';
import type { Credentials } from './credentials.ts';
import type { NomadOptions } from './options.ts';

export interface Ask {
  /** Beside `namespace` and `region`, which every call carries; `namespace` here replaces that of the options. */
  readonly query?: Readonly<Record<string, string | number | boolean>>;
  readonly signal?: AbortSignal | undefined;
  /** Of the whole call; of a download or stream: until the headers come. A blocking query adds its wait to it. */
  readonly timeoutMs?: number;
  /** False: a 403 is told at once, as Refusal (`denied`). Else it is asked again for some seconds before. */
  readonly recheck?: boolean;
  /** False: without the token. */
  readonly authenticated?: boolean;
}

export interface Answered<T> {
  readonly value: T;
  /** X-Nomad-Index; 0 where the server tells none. */
  readonly index: number;
  /** The server's own time in ms since 1970, to the second; null where it does not tell. */
  readonly date: number | null;
}

export interface ClientTiming {
  readonly timeoutMs: number;
  /** Of a download: the longest wait for its next bytes. */
  readonly idleMs: number;
  /** How long a 403 is asked again before it counts, and how often. */
  readonly deniedMs: number;
  readonly recheckMs: number;
}

export const CLIENT_TIMING: ClientTiming = { timeoutMs: 10_000, idleMs: 15_000, deniedMs: 5_000, recheckMs: 500 };

export interface ClientTools {
  readonly clock: Clock;
  readonly credentials: Credentials;
  readonly timing?: ClientTiming;
}

/** What reads and starts runs need of the client. */
export type NomadCalls = Pick<NomadClient, 'get' | 'send' | 'stream'>;

/** At once; Nomad allows 100 connections for one address, and whatever else runs there shares them. */
const CALLS = 16;
const DOWNLOADS = 8;

type Method = 'GET' | 'POST' | 'PUT' | 'DELETE';

interface Call extends Ask {
  readonly method: Method;
  readonly path: string;
  readonly body?: string;
}

/**
 * Nomad's HTTP API. Paths begin with `/v1/` and are encoded by the caller (`jobPath`). Errors of every call:
 * TransientError (network, timeout, 5xx, 429, an answer that can't be read), StalledError (token file, and Refusal: a
 * definite no). They name method, path, status and a text of ours, never a header or a body. An aborted signal throws
 * its own reason. A call may be repeated if what it asks for may.
 */
export class NomadClient {
  readonly #connections: Connections;
  readonly #fixed: Readonly<Record<string, string>>;
  readonly #clock: Clock;
  readonly #credentials: Credentials;
  readonly #timing: ClientTiming;
  readonly #calls = new Lanes(CALLS);
  readonly #downloads = new Lanes(DOWNLOADS);

  constructor(options: NomadOptions, { clock, credentials, timing }: ClientTools) {
    this.#connections = new Connections(options);
    this.#fixed = { namespace: options.namespace, ...(options.region === '' ? {} : { region: options.region }) };
    this.#clock = clock;
    this.#credentials = credentials;
    this.#timing = timing ?? CLIENT_TIMING;
  }

  /** null: Nomad knows no such record (any more). */
  async get<T>(path: string, schema: z.ZodType<T>, ask: Ask = {}): Promise<Answered<T> | null> {
    try {
      return await this.#json({ ...ask, method: 'GET', path }, schema);
    } catch (error) {
      if (error instanceof Refusal && error.kind === 'not-found') return null;
      throw error;
    }
  }

  /** `body` is sent as JSON; undefined: none. */
  send<T>(
    [method, path]: readonly [Exclude<Method, 'GET'>, string],
    body: unknown,
    schema: z.ZodType<T>,
    ask: Ask = {},
  ): Promise<Answered<T>> {
    return this.#json({ ...ask, method, path, ...(body === undefined ? {} : { body: JSON.stringify(body) }) }, schema);
  }

  /** The bytes of a file or log as they come. The call is made at the first `next`. */
  async *download(path: string, ask: Ask = {}): AsyncGenerator<Uint8Array> {
    const call: Call = { ...ask, method: 'GET', path };
    const leave = await this.#downloads.enter();
    try {
      yield* await this.#patiently(call, () => this.#open(call, this.#timing.idleMs));
    } finally {
      leave();
    }
  }

  /**
   * A body that goes on for ever; answers when its headers are there. Ends, without an error, when the signal is aborted
   * (the socket is closed then) or when the server ends it. One 403 is told at once: whoever follows tries again anyway.
   */
  stream(path: string, ask: Ask & { readonly signal: AbortSignal }): Promise<AsyncIterable<Uint8Array>> {
    return this.#open({ ...ask, method: 'GET', path }, null);
  }

  /** Ends every call that is under way. */
  close(): void {
    this.#connections.close();
  }

  async #json<T>(call: Call, schema: z.ZodType<T>): Promise<Answered<T>> {
    const { text, response } = await this.#patiently(call, () => this.#calls.run(() => this.#whole(call)));
    const parsed = schema.safeParse(json(text));
    if (!parsed.success) {
      const places = parsed.error.issues.slice(0, 3).map(({ path }) => path.map(String).join('.') || '(root)');
      throw outage(call, `the answer does not fit at ${places.join(', ')}`);
    }
    const index = Number(response.headers.get('x-nomad-index'));
    const date = Date.parse(response.headers.get('date') ?? '');
    return {
      value: parsed.data,
      index: Number.isSafeInteger(index) ? index : 0,
      date: Number.isFinite(date) ? date : null,
    };
  }

  /** A server that starts refuses good tokens for a moment, and a token file is renewed beneath us. */
  async #patiently<T>(call: Call, work: () => Promise<T>): Promise<T> {
    const end = this.#clock.monotonic() + this.#timing.deniedMs;
    for (;;) {
      try {
        return await work();
      } catch (error) {
        if (call.recheck === false || !isDenied(error)) throw error;
        if (this.#clock.monotonic() >= end) throw await this.#explained(error, call);
      }
      await this.#clock.sleep(this.#timing.recheckMs, call.signal);
      call.signal?.throwIfAborted();
    }
  }

  /** Nomad answers a bad token and a missing right alike; whether the token is known tells them apart. */
  async #explained(denial: Refusal, { signal }: Call): Promise<Error> {
    const ask = { recheck: false, signal };
    try {
      const self = await this.get('/v1/acl/token/self', z.object({ AccessorID: z.string() }), ask);
      // A workload identity has rights, but is no token that could be looked at.
      const isAnonymous = self?.value.AccessorID === 'anonymous';
      const why = isAnonymous ? 'no token is given' : 'the token has no such right';
      return deniedAs('denied', `${denial.message}: ${why}`);
    } catch (error) {
      if (!(error instanceof StalledError)) throw error;
      return deniedAs('bad-token', `${denial.message}: Nomad does not know the token, or it has expired`);
    }
  }

  async #whole(call: Call): Promise<{ readonly text: string; readonly response: Response }> {
    const limit = new TimeLimit(call.timeoutMs ?? this.#timing.timeoutMs, call.signal);
    try {
      const response = await this.#fetch(call, limit.signal);
      return { text: await readText(response, MAX_JSON_BYTES), response };
    } catch (error) {
      throw failureOf(call, error, limit);
    } finally {
      limit.end();
    }
  }

  async #open(call: Call, idleMs: number | null): Promise<AsyncGenerator<Uint8Array>> {
    const limit = new TimeLimit(call.timeoutMs ?? this.#timing.timeoutMs, call.signal);
    try {
      const response = await this.#fetch(call, limit.signal);
      limit.restart(idleMs);
      return bodyOf(response, call, { limit, idleMs });
    } catch (error) {
      limit.end();
      throw failureOf(call, error, limit);
    }
  }

  /** A 2xx answer; anything else is thrown as what the table says. */
  async #fetch(call: Call, signal: AbortSignal): Promise<Response> {
    const token = call.authenticated === false ? null : await this.#credentials();
    const url = new URL(call.path, this.#connections.base);
    for (const [key, value] of Object.entries({ ...this.#fixed, ...call.query }))
      url.searchParams.set(key, String(value));
    const response = await fetch(url, {
      method: call.method,
      agent: this.#connections.agent,
      signal,
      // A redirect would carry the token to wherever it points.
      redirect: 'error',
      // Compressed, an event would wait for the next one.
      compress: false,
      headers: {
        ...(token === null ? {} : { 'x-nomad-token': token.reveal() }),
        ...(call.body === undefined ? {} : { 'content-type': 'application/json' }),
      },
      body: call.body ?? null,
    });
    if (response.ok) return response;
    const answer = readAnswer(response.status, await readText(response, MAX_ERROR_BYTES, 'cut'));
    throw errorOf(nameOf(call), response.status, answer, response.headers.get('retry-after'));
  }
}

/** Ids of children hold a slash. */
export const jobPath = (id: string): string => `/v1/job/${encodeURIComponent(id)}`;

const MAX_JSON_BYTES = 64 * 1024 ** 2;
const MAX_ERROR_BYTES = 4 * 1024;
const ERROR_NAME = /^[A-Z][A-Z0-9_]{1,60}$/;

const nameOf = ({ method, path }: Call): string => `${method} ${path}`;

const isDenied = (error: unknown): error is Refusal =>
  error instanceof Refusal && (error.kind === 'denied' || error.kind === 'bad-token');

const deniedAs = (kind: 'denied' | 'bad-token', message: string): Refusal =>
  new Refusal({ kind, code: 'ERR_ENGINE_DENIED', text: '' }, message);

function outage(call: Call, what: string): TransientError {
  return new TransientError('ERR_ENGINE_UNAVAILABLE', `${nameOf(call)}: ${what}`);
}

/** Errors of the HTTP library quote URLs and headers, so only their code goes on. */
function failureOf(call: Call, error: unknown, limit: TimeLimit): unknown {
  if (error instanceof StalledError || error instanceof TransientError) return error;
  if (call.signal?.aborted === true) return call.signal.reason;
  if (limit.isOver) return outage(call, 'no answer in time');
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  return outage(call, ERROR_NAME.test(code) ? code : 'the connection failed');
}

async function* bodyOf(
  response: Response,
  call: Call,
  { limit, idleMs }: { readonly limit: TimeLimit; readonly idleMs: number | null },
): AsyncGenerator<Uint8Array> {
  try {
    for await (const chunk of response.body ?? []) {
      // Whoever takes the bytes may take its time.
      limit.restart(null);
      yield chunk as Uint8Array;
      limit.restart(idleMs);
    }
  } catch (error) {
    if (call.signal?.aborted === true && idleMs === null) return;
    throw failureOf(call, error, limit);
  } finally {
    limit.end();
  }
}

async function readText(response: Response, maxBytes: number, beyond: 'cut' | 'refuse' = 'refuse'): Promise<string> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of response.body ?? []) {
    const bytes = chunk as Uint8Array;
    chunks.push(bytes);
    length += bytes.length;
    if (length <= maxBytes) continue;
    if (beyond === 'cut') break;
    throw Object.assign(new Error('too large'), { code: 'ERR_BODY_TOO_LARGE' });
  }
  return Buffer.concat(chunks).toString('utf8');
}

function json(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
