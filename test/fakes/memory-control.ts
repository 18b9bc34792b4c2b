import type { StopRequest } from '../../src/domain/run.ts';
import type { Control } from '../../src/ports/control.ts';

/** The operator's wishes in memory. */
export class MemoryControl implements Control {
  readonly stops = new Map<string, StopRequest>();
  readonly #now: () => Date;
  #pause: { by: string; at: string } | null = null;
  readonly #listeners = new Set<() => void>();

  constructor(now: () => Date) {
    this.#now = now;
  }

  async paused(): Promise<{ by: string; at: string } | null> {
    return this.#pause;
  }

  async pause(by: string): Promise<void> {
    this.#pause = { by, at: this.#now().toISOString() };
    this.#tell();
  }

  async resume(): Promise<void> {
    this.#pause = null;
    this.#tell();
  }

  async stopRequest(id: string): Promise<StopRequest | null> {
    return this.stops.get(id) ?? null;
  }

  async stopRequests(): Promise<ReadonlyMap<string, StopRequest>> {
    return new Map(this.stops);
  }

  async requestStop(id: string, request: StopRequest): Promise<void> {
    this.stops.set(id, request);
    this.#tell();
  }

  async clearStop(id: string): Promise<void> {
    this.stops.delete(id);
  }

  onChange(callback: () => void, signal: AbortSignal): void {
    if (signal.aborted) return;
    this.#listeners.add(callback);
    signal.addEventListener('abort', () => this.#listeners.delete(callback), { once: true });
  }

  #tell(): void {
    for (const callback of this.#listeners) callback();
  }
}
