import fetch, { type Response } from 'node-fetch';
import type { Check } from '../domain/check.ts';
import { type Notification, receiverProblem } from '../domain/notification.ts';
import { SecretText } from '../domain/secret-text.ts';
import { EdgeError, StalledError, TransientError } from '../errors.ts';
import type { Clock } from '../ports/clock.ts';
import type { Notifier } from '../ports/notifier.ts';
import type { SecretSource } from './factory.ts';
import { readSecretLine } from './secret-file.ts';

/*
 * One POST of JSON to an address that is itself a secret. It is read again for each request, and what the HTTP library
 * says of a failure is never passed on: it quotes the address.
 */

export interface NotifierOptions {
  /** Of the receiver. */
  readonly address: SecretSource;
  /** For the whole of a request. */
  readonly timeoutMs?: number;
}

const TIMEOUT_MS = 10_000;
const MOST_READ = 64 * 1024;

export function createNotifier(options: NotifierOptions, clock: Pick<Clock, 'now'>): Notifier {
  return new HttpNotifier(options, clock);
}

class HttpNotifier implements Notifier {
  readonly #options: NotifierOptions;
  readonly #clock: Pick<Clock, 'now'>;

  constructor(options: NotifierOptions, clock: Pick<Clock, 'now'>) {
    this.#options = options;
    this.#clock = clock;
  }

  async send(notification: Notification, signal: AbortSignal) {
    const address = await addressOf(this.#options.address);
    signal.throwIfAborted();
    const limit = new AbortController();
    const stop = (): void => limit.abort();
    const timer = setTimeout(stop, this.#options.timeoutMs ?? TIMEOUT_MS);
    signal.addEventListener('abort', stop, { once: true });
    try {
      const response = await post(address, notification, limit.signal);
      await readAway(response);
      return this.#judge(response);
    } catch (error) {
      signal.throwIfAborted();
      if (error instanceof EdgeError) throw error;
      throw away(limit.signal.aborted ? 'no answer in time' : `it can not be reached (${networkCode(error)})`);
    } finally {
      clearTimeout(timer);
      signal.removeEventListener('abort', stop);
    }
  }

  async check(): Promise<Check> {
    try {
      await addressOf(this.#options.address);
      const message = "the receiver's address can be read; it was not called";
      return { name: 'notify', ok: true, code: null, message, fix: null };
    } catch (error) {
      if (!(error instanceof EdgeError)) throw error;
      return { name: 'notify', ok: false, code: error.code, message: error.message, fix: error.hint };
    }
  }

  #judge({ status, ok, headers }: Response) {
    if (status !== 408 && status !== 429 && status < 500) return { taken: ok, status };
    throw away(`it answers ${status}`, waitOf(headers.get('retry-after'), this.#clock.now()));
  }
}

async function addressOf(source: SecretSource): Promise<string> {
  const line = source instanceof SecretText ? { ok: true as const, secret: source } : await readSecretLine(source.file);
  if (!line.ok) throw noAddress(line.problem);
  const address = line.secret.reveal().trim();
  const problem = receiverProblem(address);
  if (problem !== null) throw noAddress(problem);
  return address;
}

function post(address: string, notification: Notification, signal: AbortSignal): Promise<Response> {
  return fetch(address, {
    method: 'POST',
    // To follow one would hand the report, and an address that is a secret, to whoever the receiver names.
    redirect: 'manual',
    signal,
    headers: { 'Content-Type': 'application/json', 'User-Agent': 'edge-dispatcher' },
    body: JSON.stringify(notification),
  });
}

/** The status is the answer: what comes after it, and whether it comes, does not matter. */
async function readAway({ body }: Response): Promise<void> {
  let left = MOST_READ;
  try {
    for await (const chunk of body ?? []) {
      left -= chunk.length;
      if (left <= 0) return;
    }
  } catch {
    // Cut off, or too slow.
  }
}

const noAddress = (problem: string) => new StalledError('ERR_NOTIFY_DENIED', `url_file of [notify] ${problem}`);

function away(what: string, retryAfterMs?: number): TransientError {
  const details = retryAfterMs === undefined ? {} : { retryAfterMs };
  return new TransientError('ERR_NOTIFY_UNAVAILABLE', `the receiver of notifications: ${what}`, details);
}

function waitOf(header: string | null, now: Date): number | undefined {
  if (header === null) return undefined;
  const ms = /^\d{1,9}$/.test(header) ? Number(header) * 1000 : Date.parse(header) - now.getTime();
  return Number.isNaN(ms) ? undefined : Math.max(0, ms);
}

/** The system's code of an error and nothing else of it. */
function networkCode(error: unknown): string {
  const code: unknown = error instanceof Error && 'code' in error ? error.code : undefined;
  return typeof code === 'string' && /^[A-Z][A-Z0-9_]{1,63}$/.test(code) ? code : 'no answer';
}
