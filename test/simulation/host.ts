import type { Oid } from '../../src/domain/ids.ts';
import { TransientError } from '../../src/errors.ts';
import { MemoryControl } from '../fakes/memory-control.ts';
import { MemoryRecords } from '../fakes/memory-records.ts';
import { MemoryStore } from '../fakes/memory-store.ts';
import type { CloneDisk } from './clone.ts';
import type { SimProcess } from './machine.ts';
import { WallClock } from './machine.ts';
import type { Timeline } from './timeline.ts';

/** A machine with its disk: what a dispatcher finds again when it is started anew. */
export class SimHost {
  readonly name: string;
  readonly wall: WallClock;
  readonly records = new MemoryRecords();
  readonly control: MemoryControl;
  readonly store = new MemoryStore();
  readonly clone: CloneDisk = { acceptedTip: null };
  isDiskFull = false;
  #backup: { readonly notes: ReadonlyMap<string, string>; readonly tip: Oid | null } | null = null;

  constructor(name: string, timeline: Timeline) {
    this.name = name;
    this.wall = new WallClock(timeline);
    this.control = new MemoryControl(() => this.wall.now());
  }

  /** As a backup would: notes of attempts as they are now. */
  backUp(): void {
    this.#backup = { notes: new Map(this.records.files), tip: this.clone.acceptedTip };
  }

  /** False: there is none. */
  restore(): boolean {
    if (this.#backup === null) return false;
    this.records.files.clear();
    for (const [token, text] of this.#backup.notes) this.records.files.set(token, text);
    this.clone.acceptedTip = this.#backup.tip;
    return true;
  }

  heal(): void {
    this.isDiskFull = false;
    this.wall.skewMs = 0;
    void this.control.resume();
  }

  /** A port of this disk, as one process uses it. `writes`: what a full disk does not take. */
  port<T extends object>(port: T, process: SimProcess, writes: readonly string[], direct: readonly string[] = []): T {
    return new Proxy(port, {
      get: (target, key) => {
        const value: unknown = Reflect.get(target, key);
        if (typeof value !== 'function') return value;
        if (direct.includes(String(key))) return value.bind(target);
        return async (...args: readonly unknown[]) => {
          if (!process.pass()) await new Promise(() => undefined);
          if (this.isDiskFull && writes.includes(String(key)))
            throw new TransientError('ERR_STORE_UNAVAILABLE', 'no space left on the device');
          const answer: unknown = await Reflect.apply(value, target, args);
          if (!process.pass()) await new Promise(() => undefined);
          return answer;
        };
      },
    });
  }
}
