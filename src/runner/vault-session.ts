import { setTimeout as delay } from 'node:timers/promises';
import { RunnerError } from './runner-error.ts';
import { fieldOf, textsOf, type VaultAnswer, type VaultCall, type VaultClient, type VaultReply } from './vault-http.ts';

/** How long is waited, in milliseconds. */
export interface VaultPatience {
  /** For a server that is away, in all; from then on every call is tried once. */
  readonly totalMs: number;
  /** For the answer to one call. */
  readonly callMs: number;
  /** Before a call is first sent again; it doubles each time. */
  readonly pauseMs: number;
}

export const PATIENCE: VaultPatience = { totalMs: 60_000, callMs: 10_000, pauseMs: 100 };

const LONGEST_PAUSE_MS = 5_000;

/** The calls of one redemption: they share one patience, and end early when the run is to stop. */
export class VaultSession {
  readonly #client: VaultClient;
  readonly #patience: VaultPatience;
  readonly #stop: AbortSignal;
  readonly #until: number;
  #pauseMs: number;

  /** `stop`: nobody wants the run any more. */
  constructor(client: VaultClient, patience: VaultPatience, stop: AbortSignal) {
    this.#client = client;
    this.#patience = patience;
    this.#stop = stop;
    this.#until = performance.now() + patience.totalMs;
    this.#pauseMs = patience.pauseMs;
  }

  /** Sends the call once and waits for its end, also when the run is to stop: for what changes the server's state. */
  async once(call: VaultCall): Promise<VaultReply> {
    return await this.#client.send(call, AbortSignal.timeout(this.#patience.callMs));
  }

  /**
   * Sends a call that is safe to repeat until the server decides. `until`: when it makes no sense any more, by our
   * clock. Throws RunnerError (ERR_VAULT_UNAVAILABLE).
   */
  async ask(what: string, call: VaultCall, until = Number.POSITIVE_INFINITY): Promise<VaultAnswer> {
    for (;;) {
      const timeout = AbortSignal.timeout(this.#patience.callMs);
      const reply = await this.#client.send(call, AbortSignal.any([timeout, this.#stop]));
      if (isDecision(reply)) return reply;
      if (!(await this.pause(until))) throw this.unavailable(what, reply);
    }
  }

  /** Waits before a call is sent again, longer each time. false: it is not to be sent again. */
  async pause(until = Number.POSITIVE_INFINITY): Promise<boolean> {
    const pauseMs = this.#pauseMs * (1 + Math.random());
    this.#pauseMs = Math.min(this.#pauseMs * 2, LONGEST_PAUSE_MS);
    const isLast = performance.now() + pauseMs > this.#until || Date.now() + pauseMs > until;
    if (isLast) return false;
    await delay(pauseMs, undefined, { signal: this.#stop }).catch(() => undefined);
    return !this.#stop.aborted;
  }

  unavailable(what: string, reply: VaultReply): RunnerError {
    const how = reply.status === null ? reply.why : `it answered ${reply.status}`;
    const message = `${what}: ${this.#client.origin} is not to be had (${how}); nothing was started`;
    return new RunnerError('ERR_VAULT_UNAVAILABLE', message);
  }

  close(): void {
    this.#client.close();
  }
}

/** Of the server itself, and final: not busy, not sealed, not a standby's, not a broken proxy's. */
function isDecision(reply: VaultReply): reply is VaultAnswer {
  const { status } = reply;
  return status !== null && (status === 204 || reply.body !== undefined) && DECISIONS.has(status);
}
const DECISIONS: ReadonlySet<number> = new Set([200, 204, 400, 403, 404]);

/** The texts in which a server says why not. Compared, never printed. */
export function errorsOf({ body }: VaultAnswer): readonly string[] {
  return textsOf(fieldOf(body, 'errors'));
}

/**
 * Of the two kinds of 403: the token is unknown, ended or revoked (as opposed to: it has no right to this). Seen of
 * OpenBao: `permission denied` alone; HashiCorp Vault adds `invalid token`.
 */
export function isDeadToken(answer: VaultAnswer): boolean {
  return errorsOf(answer).some((text) => text === 'permission denied' || text.includes('invalid token'));
}
