import fetch, { type Headers, type Response } from 'node-fetch';
import type { z } from 'zod';
import { EdgeError } from '../../../errors.ts';
import type { Clock } from '../../../ports/clock.ts';
import type { SecretSource } from '../../factory.ts';
import { Lanes } from '../../lanes.ts';
import { failure, networkCode, whatToDo } from './answers.ts';
import { type BodyLimits, drain, readBody, TooLongError } from './body.ts';
import { Connections } from './connections.ts';
import { Gate } from './gate.ts';
import { RememberedAnswers } from './remembered.ts';
import { readToken } from './token.ts';
import { waitOf } from './wait.ts';

/** What a forge's API wants of every request. */
export interface Api {
  /** Absolute, without a slash at its end: `https://forge.example/api/v1`. */
  readonly base: string;
  readonly caFile: string | null;
  readonly token: SecretSource;
  /** How errors call it: `token_file`. */
  readonly tokenKey: string;
  /** What stands before the token in the header Authorization: `token` or `Bearer`. */
  readonly scheme: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly timing?: ClientTiming;
}

interface ClientTiming {
  /** Of a call from when it is sent, and again for each 8 MiB of its body. */
  readonly timeoutMs: number;
}

export interface Call {
  /** `/repos/{owner}/{repo}/pulls/{number}`: what stands in braces is taken from `values`; errors show it as it is. */
  readonly path: string;
  readonly values?: Readonly<Record<string, string | number>>;
  readonly query?: Readonly<Record<string, string | number | boolean>>;
  /** Statuses that are answered by null; default: 404 only. A limit of rate is never among them, whatever its status. */
  readonly absent?: readonly number[];
  /** Bytes of one text of the answer; a longer one reads as null. Default: 512 KiB, more than what is written by hand. */
  readonly longestText?: number;
  /** Of a list of one item that is too long even so, what comes before its long text is enough. */
  readonly beginningIsEnough?: boolean;
  readonly signal?: AbortSignal | undefined;
}

export interface Answer<T> {
  readonly value: T;
  /** Of an answer that had not changed, those that came with it first. */
  readonly headers: Pick<Headers, 'get'>;
}

type Method = 'GET' | 'POST' | 'PATCH' | 'PUT' | 'DELETE';

/** One request as it goes out. */
interface Sent {
  readonly method: Method;
  readonly url: URL;
  /** Method and path template: the only words of a request that an error holds. */
  readonly name: string;
  readonly body: string | undefined;
  readonly absent: readonly number[];
  readonly limits: BodyLimits;
  readonly signal: AbortSignal | undefined;
}

/** In which time it has to be answered. */
interface Limit {
  readonly signal: AbortSignal;
  /** Much of the body has come: the time begins anew. */
  readonly goesOn: () => void;
}

interface Received {
  readonly text: string;
  readonly headers: Headers;
}

const TIMING: ClientTiming = { timeoutMs: 10_000 };
const LONGEST_TEXT = 512 * 1024;
const AT_ONCE = 8;
const MOST_REDIRECTS = 3;
/** A moved thing, of which a GET may be asked again at its new place. */
const MOVED: readonly number[] = [301, 302, 307, 308];

/**
 * A forge's API over HTTP, for one token. Errors of every call: TransientError (ERR_FORGE_UNAVAILABLE: network, time,
 * 5xx, a limit of rate, an answer that can't be read; TooLongError: it is too long), StalledError (ERR_FORGE_DENIED: token file, 401, 403, another
 * refusal). They name method, path template and status, never a header, a value or a body. An aborted signal throws its
 * own reason. Safe to repeat as far as what is asked for is. What the forge asks us to wait is waited by failing: until
 * then no call is sent.
 */
export class ForgeClient {
  readonly #api: Api;
  readonly #connections: Connections;
  readonly #gate: Gate;
  readonly #clock: Clock;
  readonly #lanes = new Lanes(AT_ONCE);
  readonly #remembered = new RememberedAnswers();

  constructor(api: Api, clock: Clock) {
    this.#api = api;
    this.#clock = clock;
    this.#connections = new Connections(api.base, api.caFile);
    this.#gate = new Gate(clock);
  }

  /** null: 404 (or what `absent` says). That may also mean "no access": see `Repository.confirmed`. */
  get<T>(call: Call, schema: z.ZodType<T>): Promise<Answer<T> | null> {
    return this.#ask(this.#sent('GET', call, undefined), schema);
  }

  /** `body` is sent as JSON. null as of `get`. */
  send<T>(
    [method, call]: readonly [Exclude<Method, 'GET'>, Call],
    body: unknown,
    schema: z.ZodType<T>,
  ): Promise<Answer<T> | null> {
    return this.#ask(this.#sent(method, call, JSON.stringify(body)), schema);
  }

  #sent(method: Method, call: Call, body: string | undefined): Sent {
    const { path, values = {}, query = {}, absent = [404], signal } = call;
    const { longestText = LONGEST_TEXT, beginningIsEnough = false } = call;
    const filled = path.replaceAll(/\{(\w+)\}/g, (_, key: string) => segment(values[key]));
    const url = new URL(`${this.#api.base}${filled}`);
    for (const [key, value] of Object.entries(query)) url.searchParams.set(key, String(value));
    const name = `${method} ${path}`;
    return { method, url, name, body, absent, limits: { name, longestText, beginningIsEnough }, signal };
  }

  async #ask<T>(sent: Sent, schema: z.ZodType<T>): Promise<Answer<T> | null> {
    // Waiting for our own turn is no slowness of the forge: the time limit begins afterwards.
    const received = await this.#lanes.run(() => this.#inTime(sent), sent.signal);
    if (received === null) return null;
    const parsed = schema.safeParse(json(received.text));
    // Not the schema's own error: it may quote the answer.
    if (!parsed.success) throw failure('unreadable', sent.name);
    return { value: parsed.data, headers: received.headers };
  }

  async #inTime(sent: Sent): Promise<Received | null> {
    sent.signal?.throwIfAborted();
    const call = this.#gate.pass(sent.name);
    const limit = new AbortController();
    const stop = (): void => limit.abort();
    const timer = setTimeout(stop, (this.#api.timing ?? TIMING).timeoutMs);
    sent.signal?.addEventListener('abort', stop, { once: true });
    try {
      const received = await this.#exchange(sent, { signal: limit.signal, goesOn: () => void timer.refresh() });
      this.#gate.answered();
      return received;
    } catch (error) {
      sent.signal?.throwIfAborted();
      if (error instanceof TooLongError) {
        // The forge is well: it is we who want no more of it.
        this.#gate.answered();
        throw error;
      }
      if (error instanceof EdgeError) throw this.#gate.noted(error, call);
      // No cause is kept: errors of the HTTP library quote addresses and headers.
      const kind = limit.signal.aborted ? 'silent' : 'unreachable';
      throw this.#gate.noted(failure(kind, sent.name, kind === 'silent' ? {} : { mark: networkCode(error) }), call);
    } finally {
      clearTimeout(timer);
      sent.signal?.removeEventListener('abort', stop);
    }
  }

  async #exchange(sent: Sent, { signal, goesOn }: Limit): Promise<Received | null> {
    const known = sent.method === 'GET' ? this.#remembered.of(sent.url.href) : undefined;
    const response = await this.#fetch(sent, signal, known?.etag);
    if (response.status === 304 && known !== undefined) {
      await drain(response);
      return { text: known.text, headers: known.headers };
    }
    const text = await readBody(response, sent.limits, goesOn);
    const { headers } = response;
    const wait = waitOf({ status: response.status, headers, text, now: this.#clock.now().getTime() });
    if (!response.ok) {
      const kind = whatToDo(response.status, wait !== undefined);
      if (kind !== 'busy' && sent.absent.includes(response.status)) return null;
      throw failure(kind, sent.name, { mark: response.status, retryAfterMs: wait });
    }
    // The last one that the limit allowed: the answer is good, the next call would not be.
    if (wait !== undefined) this.#gate.closeFor(wait);
    if (sent.method === 'GET') this.#remembered.keep(sent.url.href, { text, headers });
    return { text, headers };
  }

  /** Follows a GET to where its thing has moved, within the same origin only: the token goes nowhere else. */
  async #fetch(sent: Sent, signal: AbortSignal, etag: string | undefined): Promise<Response> {
    let { url } = sent;
    for (let hops = 0; ; hops += 1) {
      const response = await this.#fetchOnce({ ...sent, url }, signal, etag);
      const location = response.headers.get('location');
      if (!MOVED.includes(response.status) || location === null) return response;
      const next = URL.canParse(location, url.href) ? new URL(location, url) : null;
      const mayFollow = sent.method === 'GET' && hops < MOST_REDIRECTS;
      if (next === null || next.origin !== this.#connections.origin || !mayFollow) return response;
      await drain(response);
      url = next;
    }
  }

  async #fetchOnce(sent: Sent, signal: AbortSignal, etag: string | undefined): Promise<Response> {
    const { scheme, token: source, tokenKey, headers } = this.#api;
    const token = await readToken(source, tokenKey);
    return await fetch(sent.url.href, {
      method: sent.method,
      agent: await this.#connections.agent(),
      signal,
      redirect: 'manual',
      headers: {
        Accept: 'application/json',
        'User-Agent': 'edge-dispatcher',
        ...headers,
        Authorization: `${scheme} ${token.reveal()}`,
        ...(etag === undefined ? {} : { 'If-None-Match': etag }),
        ...(sent.body === undefined ? {} : { 'Content-Type': 'application/json' }),
      },
      body: sent.body ?? null,
    });
  }
}

/** Nothing that the forge or a person names may lead to another path. */
function segment(value: string | number | undefined): string {
  const text = String(value ?? '');
  if (text === '' || text === '.' || text === '..') throw new Error('not a part of a path');
  return encodeURIComponent(text);
}

function json(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
