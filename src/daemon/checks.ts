import { backoffMs } from '../domain/backoff.ts';
import type { Check } from '../domain/check.ts';
import type { Reason } from '../domain/run.ts';
import { CODES, EdgeError, toError } from '../errors.ts';
import type { Clock } from '../ports/clock.ts';
import type { Log } from '../ports/log.ts';
import { reason } from '../story/reasons.ts';

/*
 * Engine and secret store are asked, before the loop and every minute, whether anything may be started (S1.6, R5); the
 * forge, whether it can be asked at all, which holds back nothing but what asks it.
 *
 *   good       asked again in a minute
 *   away       an outage is no verdict: nothing new is claimed, asked again with back-off
 *   problem    a person has to mend something: nothing new is claimed, asked again every half minute
 *
 * What runs goes on meanwhile, and claims go on by themselves once the answers are good.
 */

/** `warning`: told, stops nothing. */
type Verdict = 'good' | 'warning' | 'away' | 'problem';

export function verdictOf({ ok, code }: Check): Verdict {
  if (ok) return 'good';
  const kind = code === null ? 'stalled' : CODES[code].class;
  if (kind === 'transient') return 'away';
  return kind === 'warning' ? 'warning' : 'problem';
}

/** Of this machine alone: what it lacks shows at the action that needs it, and holds no other one up. */
export function isLocal({ kind }: { readonly kind: string }): boolean {
  return kind === 'subprocess' || kind === 'file';
}

export interface CheckedService {
  readonly name: 'engine' | 'access' | 'forge';
  /** False: it is told and stops nothing by itself, for what needs the service waits of its own accord. Absent: true. */
  readonly holdsClaims?: boolean;
  check(signal?: AbortSignal): Promise<readonly Check[]>;
}

export interface Checks {
  /** Asks all services now, and says nothing; answers what those say that hold claims. Never throws for a bad answer. */
  ask(signal: AbortSignal): Promise<readonly Check[]>;
  /** Says in the log what was answered, and goes on asking and saying until the signal is aborted. */
  keep(signal: AbortSignal): Promise<void>;
  /** Why nothing new may be claimed, by the last answers; empty: nothing stands against it. */
  reasons(): readonly Reason[];
  /** For how long each service that is away is left alone at this moment, in milliseconds; 0: it is not away. */
  backoff(): ReadonlyMap<CheckedService['name'], number>;
}

export function createChecks(services: readonly CheckedService[], tools: CheckTools): Checks {
  const kept = services.map((service) => new KeptService(service, tools));
  return {
    ask: async (signal) => {
      const answers = await Promise.all(kept.map((one) => one.ask(signal)));
      return kept.flatMap((one, index) => (one.holdsClaims ? (answers[index] ?? []) : []));
    },
    keep: async (signal) => void (await Promise.all(kept.map((one) => one.keep(signal)))),
    reasons: () => kept.flatMap((one) => (one.holdsClaims ? one.reasons() : [])),
    backoff: () => new Map(kept.map((one) => [one.name, one.backoffMs])),
  };
}

interface CheckTools {
  readonly clock: Clock;
  readonly log: Log;
}

const GOOD_MS = 60_000;
const PROBLEM_MS = 30_000;
/** At most one line a service in this time. */
const QUIET_MS = 30_000;

class KeptService {
  readonly name: CheckedService['name'];
  readonly holdsClaims: boolean;
  /** What the wait after the last answer is, where it was an outage. */
  backoffMs = 0;
  readonly #service: CheckedService;
  readonly #tools: CheckTools;
  #answers: readonly Check[] = [];
  #failures = 0;
  #said: { readonly text: string; readonly at: number } | null = null;
  readonly #whatFailed: string;
  readonly #warned = new Set<string>();

  constructor(service: CheckedService, tools: CheckTools) {
    this.name = service.name;
    this.holdsClaims = service.holdsClaims ?? true;
    this.#whatFailed = this.holdsClaims ? 'nothing is started: a check failed' : 'what needs it waits: a check failed';
    this.#service = service;
    this.#tools = tools;
  }

  async ask(signal: AbortSignal): Promise<readonly Check[]> {
    const checks = await this.#check(signal);
    if (signal.aborted) return checks;
    this.#answers = checks;
    this.#failures = checks.some((check) => verdictOf(check) === 'away') ? this.#failures + 1 : 0;
    this.backoffMs = this.#failures === 0 ? 0 : backoffMs(this.#failures, this.#tools.clock.random());
    return checks;
  }

  async keep(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      this.#tell();
      await this.#tools.clock.sleep(this.#restMs(), signal);
      if (signal.aborted) return;
      try {
        await this.ask(signal);
      } catch (error) {
        // A mistake of ours is no answer of the service: what was known of it still holds.
        this.#tools.log.error('a check broke off', { service: this.name, err: toError(error) });
      }
    }
  }

  reasons(): readonly Reason[] {
    return this.#bad().map(({ code, message, fix }) => reason(code ?? 'ERR_INTERNAL', message, null, fix ?? undefined));
  }

  #bad(): readonly Check[] {
    return this.#answers.filter((check) => ['away', 'problem'].includes(verdictOf(check)));
  }

  #restMs(): number {
    if (this.#bad().length === 0) return GOOD_MS;
    return this.#failures === 0 ? PROBLEM_MS : this.backoffMs;
  }

  async #check(signal: AbortSignal): Promise<readonly Check[]> {
    try {
      return await this.#service.check(signal);
    } catch (error) {
      // We are stopping: that is no answer, and no mistake either.
      if (signal.aborted) return this.#answers;
      if (!(error instanceof EdgeError)) throw error;
      return [{ name: this.name, ok: false, code: error.code, message: error.message, fix: error.hint }];
    }
  }

  #tell(): void {
    const { log, clock } = this.#tools;
    const bad = this.#bad();
    for (const { name, message, fix } of this.#answers.filter((check) => verdictOf(check) === 'warning')) {
      if (!this.#warned.has(name)) log.warn('a check warns', { name, reason: message, fix });
      this.#warned.add(name);
    }
    const text = bad.map(({ name, code }) => `${name} ${code}`).join();
    if (text === '' && this.#said !== null) log.info('the checks are good again', { service: this.name });
    if (text === '') this.#said = null;
    const now = clock.monotonic();
    const [first] = bad;
    if (first === undefined || this.#said?.text === text || (this.#said?.at ?? -Infinity) > now - QUIET_MS) return;
    this.#said = { text, at: now };
    const { name, code, message, fix } = first;
    const others = bad.slice(1).map((check) => check.name);
    log.warn(this.#whatFailed, { service: this.name, name, code, reason: message, fix, others });
  }
}
