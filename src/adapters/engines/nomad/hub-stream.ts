import { toError } from '../../../errors.ts';
import type { Clock } from '../../../ports/clock.ts';
import type { Log } from '../../../ports/log.ts';
import { type OpenStream, readEvents } from './events.ts';
import type { Timing } from './timing.ts';
import type { EventLine, StreamEvent } from './types.ts';

export interface HubStreamTools {
  readonly openEvents: OpenStream;
  readonly clock: Clock;
  readonly log: Log;
  readonly timing: Timing;
  /** How long to wait after so many failures in a row, in milliseconds. */
  readonly pauseMs: (failures: number) => number;
  /** Events may have been missed: have a look at every child in this many milliseconds at the latest. */
  readonly lookAtAll: (ms: number) => void;
  /** What one line tells of one child job. */
  readonly hear: (child: string, events: readonly StreamEvent[]) => void;
}

/** The event stream of a hub, opened again whenever it ends. It keeps its place from one session of the hub to the next. */
export class HubStream {
  readonly #tools: HubStreamTools;
  #index = 0;
  #isLive = false;

  constructor(tools: HubStreamTools) {
    this.#tools = tools;
  }

  /** Lines come, so nothing is missed. */
  get isLive(): boolean {
    return this.#isLive;
  }

  /** Reads until the signal is aborted; never throws. */
  async keep(signal: AbortSignal): Promise<void> {
    const { openEvents: open, clock, timing, log, pauseMs, lookAtAll } = this.#tools;
    let failures = 0;
    while (!signal.aborted) {
      try {
        for await (const line of readEvents(this.#index, { open, clock, timing }, signal)) {
          failures = 0;
          this.#hearLine(line);
        }
      } catch (error) {
        if (failures === 1) log.warn('no event stream; runs are followed by lists', { err: toError(error) });
        failures += 1;
      }
      this.#isLive = false;
      lookAtAll(timing.blindMs);
      await clock.sleep(pauseMs(failures), signal);
    }
  }

  #hearLine(line: EventLine | null): void {
    if (!this.#isLive || line === null) this.#tools.lookAtAll(0);
    this.#isLive = true;
    if (line === null) return;
    this.#index = line.Index === 0 ? this.#index : line.Index;
    const heard = new Map<string, StreamEvent[]>();
    for (const event of line.Events) {
      const child = childOf(event);
      heard.set(child, [...(heard.get(child) ?? []), event]);
    }
    for (const [child, events] of heard) this.#tools.hear(child, events);
  }
}

function childOf({ Topic, Key, Payload }: StreamEvent): string {
  if (Topic === 'Job') return Key;
  return Payload?.Allocation?.JobID ?? Payload?.Evaluation?.JobID ?? '';
}
