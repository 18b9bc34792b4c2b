import { type Announcement, markerOf } from '../../domain/announcement.ts';
import { standingOf } from '../../domain/announcement-standing.ts';
import { announcementText } from '../../domain/announcement-text.ts';
import type { Change } from '../../domain/change.ts';
import { sha256 } from '../../domain/ids.ts';
import type { Clock } from '../../ports/clock.ts';
import type { CommitStatus, Forge } from '../../ports/forge.ts';
import type { Beside } from './beside.ts';

const CONTEXT = 'edge-dispatcher';

/** Neither good nor bad, but final: nothing becomes of that commit any more. */
function leftBehind({ state, number }: Change): string {
  return state === 'closed' ? 'closed without a merge: nothing of it runs' : `superseded: change ${number} has gone on`;
}

/** Forges count what is written much harder than what is read. */
const WRITES = 30;
const MINUTE_MS = 60_000;

/** Comment and statuses of changes: written only where they differ from what was written last, and not too many. */
export class Writer {
  readonly #forge: Forge;
  readonly #clock: Clock;
  /** Digests of the comment and of each status, by change. */
  readonly #written = new Map<number, Map<string, string>>();
  /** Monotonic times of the writes of the last minute. */
  readonly #writes: number[] = [];

  constructor(forge: Forge, clock: Clock) {
    this.#forge = forge;
    this.#clock = clock;
  }

  /**
   * The comment, and the statuses beside these commits. False: not all of it is written yet, because there is too
   * much to write; safe to repeat. Errors: the forge's.
   */
  async write(change: Change, announcement: Announcement, beside: Beside, signal: AbortSignal): Promise<boolean> {
    const marker = markerOf(announcement.root);
    const body = announcementText(announcement);
    const comment = () => this.#forge.comment(change.number, marker, body, signal);
    if (!(await this.#once(change.number, 'comment', body, comment))) return false;
    const { state, description } = standingOf(announcement);
    const current: CommitStatus = { context: CONTEXT, state, description, url: change.url };
    const left: CommitStatus = { ...current, state: 'error', description: leftBehind(change), over: 'pending' };
    const statuses = new Map([
      ...beside.left.map((commit) => [commit, left] as const),
      ...beside.same.map((commit) => [commit, { ...current, over: 'pending' as const }] as const),
      ...beside.current.map((commit) => [commit, current] as const),
    ]);
    for (const [commit, status] of statuses) {
      const set = () => this.#forge.setStatus(commit, status, signal);
      if (!(await this.#once(change.number, commit, JSON.stringify(status), set))) return false;
    }
    return true;
  }

  forget(change: number): void {
    this.#written.delete(change);
  }

  async #once(change: number, what: string, text: string, write: () => Promise<void>): Promise<boolean> {
    const written = this.#written.get(change) ?? new Map<string, string>();
    this.#written.set(change, written);
    const digest = sha256(text);
    if (written.get(what) === digest) return true;
    const now = this.#clock.monotonic();
    while (this.#writes[0] !== undefined && this.#writes[0] <= now - MINUTE_MS) this.#writes.shift();
    if (this.#writes.length >= WRITES) return false;
    this.#writes.push(now);
    await write();
    written.set(what, digest);
    return true;
  }
}
