import type { Account, Change, ChangeHistory, Push } from '../../../domain/change.ts';
import type { Oid } from '../../../domain/ids.ts';
import { failure } from '../shared/answers.ts';
import { accountOf } from './accounts.ts';
import { type Move, movesOf } from './activity.ts';
import type { RepoApi } from './api.ts';
import { requiredPull } from './changes.ts';
import { pusherAmong } from './pusher.ts';
import type { Event, Pull } from './schemas.ts';
import { timelineOf } from './timeline.ts';

type Signal = AbortSignal | undefined;
type Merge = NonNullable<Change['merge']>;

const HOUR_MS = 3_600_000;
const DELETION = 'branch_deletion';
const QUEUE_MERGE = 'merge_queue_merge';
/** Events that let a change merge by itself. Not all of them are documented; `auto_merge` of the pull request is. */
const SCHEDULED: readonly string[] = ['auto_merge_enabled', 'auto_squash_enabled', 'auto_rebase_enabled'];
const UNSCHEDULED = 'auto_merge_disabled';
/** Leaving the queue is told for a merge as well, so it takes nothing back. */
const QUEUED = 'added_to_merge_queue';
/** After these it is another difference that is shown: against another branch, or against the same one made anew. */
const RETARGETED: readonly string[] = ['base_ref_changed', 'automatic_base_change_succeeded', 'base_ref_force_pushed'];

/** What the timeline of a change and the logs of activities of the repositories concerned say of who pushed what. */
export class Histories {
  readonly #api: RepoApi;
  readonly #repo: string;

  /** `repo`: `owner/name` of the ops repo. */
  constructor(api: RepoApi, repo: string) {
    this.#api = api;
    this.#repo = repo;
  }

  async of(change: Change, signal: Signal): Promise<ChangeHistory> {
    const pull = await requiredPull(this.#api, change.number, signal);
    const [events, branchPushes, landed] = await Promise.all([
      timelineOf(this.#api, change.number, signal),
      this.#branchPushes(change, pull, signal),
      change.merge === null ? null : this.#landed(change.base, change.merge, signal),
    ]);
    // Told of a fork too whose log is hidden from us.
    const forced = events.filter(({ event }) => event === 'head_ref_force_pushed');
    const latest = change.merge?.at ?? change.createdAt;
    const told = forced.map(({ actor, created_at: at = latest }): Push => ({ by: accountOf(actor), at }));
    return {
      pushes: [...branchPushes, ...told].toSorted((a, b) => Date.parse(a.at) - Date.parse(b.at)),
      landedBy: landed?.by ?? null,
      scheduled: isScheduled(pull, events) || landed?.kind === QUEUE_MERGE,
      retargetedAt: lastRetarget(events),
    };
  }

  /** A merge is a push of all that it brought, by whoever merged. */
  async pusherOf(commit: Oid, branch: string, signal: Signal): Promise<Account | null> {
    const log = await movesOf(this.#api.client, { repo: this.#repo, branch }, signal);
    const moves = await this.#api.repository.confirmed(log, signal);
    return await pusherAmong(this.#api, (moves ?? []).toReversed(), commit, signal);
  }

  /** The first move to the merge commit: an admin's later push of the same commit proves nothing. */
  async #landed(branch: string, { commit, at }: Merge, signal: Signal): Promise<Move | null> {
    const asked = { repo: this.#repo, branch, since: Date.parse(at) - HOUR_MS };
    // Merges are found among few; pushes among all that was pushed since.
    for (const kind of ['pr_merge', undefined] as const) {
      const moves = await movesOf(this.#api.client, kind === undefined ? asked : { ...asked, kind }, signal);
      const found = moves?.findLast((move) => move.after === commit && move.kind !== DELETION);
      if (found !== undefined) return found;
    }
    return null;
  }

  async #branchPushes(change: Change, pull: Pull, signal: Signal): Promise<readonly Push[]> {
    const { source, author, merge, createdAt } = change;
    const isFork = source?.repo.toLowerCase() !== this.#repo.toLowerCase();
    const moves = source === null ? null : await movesOf(this.#api.client, { ...source, isFork }, signal);
    const pushes = ofThisLife(moves ?? [], change);
    if (pushes.length > 0) return pushes.map(({ by, at }) => ({ by, at }));
    // Whoever the branch belongs to could push there at any time up to the merge, and so could the opener.
    const likely = [author, ...(pull.head.user === null ? [] : [accountOf(pull.head.user)])];
    return likely.map((by) => ({ by, at: merge?.at ?? createdAt }));
  }
}

/** The name of a branch may have been used before, and again after it was merged and deleted. `moves`: newest first. */
function ofThisLife(moves: readonly Move[], { createdAt, merge }: Change): readonly Move[] {
  const [opened, merged] = [Date.parse(createdAt), merge === null ? Infinity : Date.parse(merge.at)];
  const isEnd = ({ kind, at }: Move): boolean => kind === DELETION && Date.parse(at) >= merged;
  const isBefore = ({ kind, at }: Move): boolean => kind === DELETION && Date.parse(at) < opened;
  const older = moves.slice(moves.findLastIndex(isEnd) + 1);
  const from = older.findIndex(isBefore);
  return older.slice(0, from === -1 ? older.length : from).filter(({ kind }) => kind !== DELETION);
}

function isScheduled({ auto_merge: planned }: Pull, events: readonly Event[]): boolean {
  const names = events.map(({ event = '' }) => event);
  const last = names.findLast((name) => SCHEDULED.includes(name) || name === UNSCHEDULED);
  const isPlanned = planned !== null && planned !== undefined;
  return isPlanned || names.includes(QUEUED) || (last !== undefined && last !== UNSCHEDULED);
}

function lastRetarget(events: readonly Event[]): string | null {
  const times = events.filter(({ event = '' }) => RETARGETED.includes(event)).map(({ created_at: at }) => at);
  // Without its time, nothing could be told to come after it.
  if (times.includes(undefined)) throw failure('unreadable', 'GET /issues/{number}/timeline');
  return (
    times
      .flatMap((at) => at ?? [])
      .toSorted((a, b) => Date.parse(a) - Date.parse(b))
      .at(-1) ?? null
  );
}
