/** Before: the call never arrives. After: it did what it does, and the answer is lost. */
export type When = 'before' | 'after';

/** One process's way to the outside: every call of a port goes through it, and can be made to fail there. */
export class Gate {
  /** Names of all calls, in order: `journal.claim`. */
  readonly calls: string[] = [];
  #isDead = false;
  #plan: (call: string, when: When) => Error | null = () => null;
  #killAt: { readonly point: number; readonly died: () => void } | null = null;
  #points = 0;
  #stopAt: number | null = null;
  #asleep: { readonly done: Promise<void>; readonly wake: () => void } | null = null;
  readonly #slow = new Map<string, () => Promise<void>>();

  /** `plan` answers what a call is to throw; null: nothing. */
  plan(plan: (call: string, when: When) => Error | null): void {
    this.#plan = plan;
  }

  /** The first `times` calls of this name fail. */
  fail(call: string, error: () => Error, options: { readonly times?: number; readonly when?: When } = {}): void {
    const { times = 1, when = 'before' } = options;
    const before = this.#plan;
    let left = times;
    this.plan((name, at) => {
      if (name !== call || at !== when || left === 0) return before(name, at);
      left -= 1;
      return error();
    });
  }

  /** Every call of this name takes as long as `wait` before it arrives. */
  slow(call: string, wait: () => Promise<void>): void {
    this.#slow.set(call, wait);
  }

  /** Kills the process at its n-th point (two a call, counted from 0): from then on nothing answers it any more. */
  killAt(point: number): Promise<'killed'> {
    return new Promise((resolve) => {
      this.#killAt = { point, died: () => resolve('killed') };
    });
  }

  kill(): void {
    this.#isDead = true;
  }

  /** The process is stopped (SIGSTOP): from now on its calls wait, those under way before they answer, until `wake`. */
  stop(): void {
    let wake = (): void => undefined;
    const done = new Promise<void>((resolve) => {
      wake = resolve;
    });
    this.#asleep ??= { done, wake };
  }

  /** The same at its n-th point (two a call, counted from 0). */
  stopAt(point: number): void {
    this.#stopAt = point;
  }

  wake(): void {
    this.#asleep?.wake();
    this.#asleep = null;
  }

  /** Points passed so far. */
  get points(): number {
    return this.#points;
  }

  /** What was planned for this point. */
  #arrive(): void {
    if (this.#killAt?.point === this.#points && !this.#isDead) {
      this.kill();
      this.#killAt.died();
    }
    if (this.#stopAt !== this.#points) return;
    this.#stopAt = null;
    this.stop();
  }

  /** Throws, or never answers again. */
  async pass(call: string, when: When): Promise<void> {
    if (when === 'before' && !this.#isDead) this.calls.push(call);
    this.#arrive();
    this.#points += 1;
    await this.#asleep?.done;
    if (this.#isDead) await new Promise(() => undefined);
    if (when === 'before') await this.#slow.get(call)?.();
    const error = this.#plan(call, when);
    if (error !== null) throw error;
  }
}

type Method = (...args: readonly unknown[]) => unknown;

/** The port as seen through the gate. `direct`: methods that answer at once from memory and pass no gate. */
export function gated<T extends object>(name: string, port: T, gate: Gate, direct: readonly string[] = []): T {
  return new Proxy(port, {
    get(target, key) {
      const value: unknown = Reflect.get(target, key);
      if (typeof value !== 'function' || direct.includes(String(key)))
        return isMethod(value) ? value.bind(target) : value;
      const call = `${name}.${String(key)}`;
      const method = value as Method;
      return STREAMS.has(call)
        ? (...args: readonly unknown[]) => stream(call, () => method.apply(target, [...args]), gate)
        : (...args: readonly unknown[]) => single(call, () => method.apply(target, [...args]), gate);
    },
  });
}

const STREAMS = new Set(['engine.watch', 'engine.logs']);
const isMethod = (value: unknown): value is Method => typeof value === 'function';

async function single(call: string, work: () => unknown, gate: Gate): Promise<unknown> {
  await gate.pass(call, 'before');
  const value = await work();
  await gate.pass(call, 'after');
  return value;
}

async function* stream(call: string, work: () => unknown, gate: Gate): AsyncIterable<unknown> {
  await gate.pass(call, 'before');
  for await (const value of work() as AsyncIterable<unknown>) {
    await gate.pass(call, 'after');
    yield value;
  }
}
