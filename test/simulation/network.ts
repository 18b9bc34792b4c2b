import { type Code, TransientError } from '../../src/errors.ts';
import type { Chance } from './chance.ts';
import type { SimProcess } from './machine.ts';
import type { Timeline } from './timeline.ts';

export type ServiceName = 'git' | 'engine' | 'vault' | 'forge';
export const SERVICES: readonly ServiceName[] = ['git', 'engine', 'vault', 'forge'];

const AWAY: Readonly<Record<ServiceName, Code>> = {
  git: 'ERR_GIT_UNAVAILABLE',
  engine: 'ERR_ENGINE_UNAVAILABLE',
  vault: 'ERR_ACCESS_UNAVAILABLE',
  forge: 'ERR_FORGE_UNAVAILABLE',
};

/**
 * What becomes of a request.
 *
 * - `fine`: it arrives, and so does the answer.
 * - `refused`: 429 or 503 at once, sometimes with a time to come back.
 * - `dropped`: it never arrives, and nobody says so before the time-out.
 * - `lost`: it does what it does, and the answer never comes.
 * - `late`: it arrives after the client has given up.
 * - `twice`: it arrives a second time, later; the first answer counts.
 */
export type Fate = 'fine' | 'refused' | 'dropped' | 'lost' | 'late' | 'twice';

/** The weather between all processes and all services. Nothing of it is left when the storms are over. */
export class Weather {
  /** How likely each mishap is for a single request, in any weather. */
  rates: Readonly<Partial<Record<Fate, number>>> = {};
  /** By service, or by `process>service`: what becomes of every request. */
  readonly storms = new Map<string, Fate>();

  fateOf(process: string, service: ServiceName, chance: Chance): Fate {
    const storm = this.stormOver(process, service);
    if (storm !== undefined) return storm;
    let left = chance.next();
    for (const [fate, rate] of Object.entries(this.rates) as [Fate, number][]) {
      left -= rate;
      if (left < 0) return fate;
    }
    return 'fine';
  }

  stormOver(process: string, service: ServiceName): Fate | undefined {
    return this.storms.get(service) ?? this.storms.get(`${process}>${service}`);
  }

  clear(): void {
    this.storms.clear();
    this.rates = {};
  }
}

const TIMEOUT_MS = 10_000;

export interface LinkTools {
  readonly timeline: Timeline;
  readonly chance: Chance;
  readonly weather: Weather;
  readonly trace: (line: () => string) => void;
}

/** The way of one process to one service. */
export class Link {
  readonly process: SimProcess;
  readonly service: ServiceName;
  readonly #host: string;
  readonly #tools: LinkTools;

  constructor(process: SimProcess, host: string, service: ServiceName, tools: LinkTools) {
    this.process = process;
    this.#host = host;
    this.service = service;
    this.#tools = tools;
  }

  /**
   * One request. `effect` happens at the service, when the request arrives; what it answers or throws comes back, unless
   * something is lost on the way: then TransientError. `onLost` is told that the effect took place and nobody knows.
   */
  async call<T>(what: string, effect: () => T, onLost?: (answer: T) => void): Promise<T> {
    const { timeline, chance, weather, trace } = this.#tools;
    await this.#here();
    const fate = weather.fateOf(this.#host, this.service, chance);
    trace(() => `${this.process.name} → ${this.service}: ${what}${fate === 'fine' ? '' : ` (${fate})`}`);
    const answer = await new Promise<() => T>((resolve) => {
      const back = (ms: number, value: () => T) =>
        void timeline.after(ms, () => this.process.deliver(() => resolve(value)));
      const fails = (retryAfterMs?: number) => () => {
        throw this.#away(what, retryAfterMs);
      };
      if (fate === 'refused')
        back(chance.between(1, 20), fails(chance.happens(0.5) ? chance.between(0, 20_000) : undefined));
      else if (fate === 'dropped') back(TIMEOUT_MS, fails());
      else {
        const onTheWay = fate === 'late' ? TIMEOUT_MS + chance.between(1, 90_000) : chance.between(1, 120);
        if (fate === 'late') back(TIMEOUT_MS, fails());
        timeline.after(onTheWay, () => {
          const value = settled(effect);
          const isLost = fate === 'lost' || fate === 'late';
          if (isLost && value.ok) onLost?.(value.value);
          if (fate === 'lost') back(TIMEOUT_MS - onTheWay, fails());
          else if (fate !== 'late') back(chance.between(1, 120), value.get);
          if (fate === 'twice') timeline.after(chance.between(1, 20_000), () => this.#again(effect, onLost));
        });
      }
    });
    await this.#here();
    return answer();
  }

  /** Something that the service sends by itself. */
  later(work: () => void, ms: number = this.#tools.chance.between(1, 300)): void {
    this.#tools.timeline.after(ms, work);
  }

  /** Nothing comes through at this moment. */
  isDown(): boolean {
    return this.#tools.weather.stormOver(this.#host, this.service) !== undefined;
  }

  #again<T>(effect: () => T, onLost?: (answer: T) => void): void {
    const value = settled(effect);
    if (value.ok) onLost?.(value.value);
  }

  /** Where a process may die. */
  #here(): Promise<void> {
    return this.process.pass() ? Promise.resolve() : new Promise(() => undefined);
  }

  #away(what: string, retryAfterMs: number | undefined): TransientError {
    const details = retryAfterMs === undefined ? {} : { retryAfterMs };
    return new TransientError(AWAY[this.service], `${this.service} does not answer: ${what}`, details);
  }
}

function settled<T>(
  work: () => T,
): { readonly get: () => T } & ({ readonly ok: true; readonly value: T } | { readonly ok: false }) {
  try {
    const value = work();
    return { ok: true, value, get: () => value };
  } catch (error) {
    return {
      ok: false,
      get: () => {
        throw error;
      },
    };
  }
}
