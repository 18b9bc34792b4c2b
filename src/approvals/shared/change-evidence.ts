import type { Account, Change } from '../../domain/change.ts';
import type { ChangeEvidence, ReviewEvidence } from '../../domain/forge-verdict.ts';
import { isOid, type Oid } from '../../domain/ids.ts';
import type { ClaimedPerson } from '../../domain/people.ts';
import type { ApprovalSubject } from '../../ports/approval.ts';
import { type BringingChanges, createBringingChanges, type EvidenceDeps } from './bringing-change.ts';
import { createMemory } from './remember.ts';
import { createSetters, regularFile } from './setter.ts';
import { changeThatSet, formulaAt } from './signed-evidence.ts';

/** What is known of how the bytes of a subject came to the branch. */
export type Brought =
  | { readonly kind: 'change'; readonly evidence: ChangeEvidence }
  /** `commit` set the bytes, and no merged change brought it; `final`: nor will the forge still learn of one. */
  | { readonly kind: 'none'; readonly commit: Oid; readonly final: boolean }
  /** Other bytes, or none, lie at this path. */
  | { readonly kind: 'elsewhere' };

export interface ChangeEvidences {
  /**
   * All evidence of forge and git about these bytes. Asked again from time to time only, the later the longer and the more
   * there is to ask, unless `fresh`. Errors: those of forge and ops repo; then there is no evidence, which is no verdict.
   */
  of(subject: ApprovalSubject, signal?: AbortSignal): Promise<Brought>;
}

interface Kept {
  readonly firstSeen: number;
  readonly readAt: number;
  readonly brought: Brought;
  /** When it was last asked for. */
  wantedAt: number;
}

/** Soonest and latest after which the same is asked again; an hour of waiting is asked about once a minute. */
const SOONEST_MS = 4_000;
const LATEST_MS = 600_000;
const PART_OF_AGE = 60;
/** For each subject that somebody wants to know of: so that many of them cost the forge no more than few. */
const EACH_MS = 1_000;
/** What nobody asked for so long is no longer waited for, and then forgotten. */
const WANTED_MS = 60_000;
const FORGOTTEN_MS = 3_600_000;

/** One for all rules that ask the forge: what one of them had read, the others need not ask for. */
export function createChangeEvidences(deps: EvidenceDeps): ChangeEvidences {
  const setters = createSetters(deps.opsRepo);
  const changes = createBringingChanges(deps);
  const reader = new EvidenceReader(deps, changes);
  const kept = new Map<string, Kept>();
  const reading = new Map<string, Promise<Kept>>();

  let counted = { at: -Infinity, wanted: 0 };

  /** How many are waited for, counted now and then. */
  function wanted(now: number): number {
    if (now - counted.at < SOONEST_MS) return counted.wanted;
    for (const [key, { wantedAt }] of kept) if (now - wantedAt > FORGOTTEN_MS) kept.delete(key);
    counted = { at: now, wanted: [...kept.values()].filter(({ wantedAt }) => now - wantedAt < WANTED_MS).length };
    return counted.wanted;
  }

  function isDue({ firstSeen, readAt }: Kept, now: number): boolean {
    const pause = Math.max(SOONEST_MS, (now - firstSeen) / PART_OF_AGE, wanted(now) * EACH_MS);
    return now - readAt >= Math.min(pause, LATEST_MS);
  }

  async function read(key: string, subject: ApprovalSubject, setter: Oid, signal?: AbortSignal): Promise<Kept> {
    const now = deps.clock.monotonic();
    const firstSeen = kept.get(key)?.firstSeen ?? now;
    // Seen before the first answer too: while evidence can't be read the grace runs, but nothing final is said.
    if (!kept.has(key)) kept.set(key, { firstSeen, readAt: -Infinity, wantedAt: now, brought: { kind: 'elsewhere' } });
    const evidence = await reader.read(subject, setter, signal);
    const final = now - firstSeen >= deps.graceMs;
    const brought: Brought = evidence === null ? { kind: 'none', commit: setter, final } : { kind: 'change', evidence };
    const answer = { firstSeen, readAt: now, wantedAt: now, brought };
    kept.set(key, answer);
    return answer;
  }

  return {
    async of(subject, signal) {
      signal?.throwIfAborted();
      const setter = await setters.of(subject);
      if (setter === null) return { kind: 'elsewhere' };
      const { path, blob, formulaPath, fresh } = subject;
      const key = [setter.commit, blob, path, formulaPath].join('\n');
      const known = kept.get(key);
      const now = deps.clock.monotonic();
      if (known !== undefined) known.wantedAt = now;
      if (known !== undefined && fresh !== true && !isDue(known, now)) return known.brought;
      if (fresh === true) return (await read(key, subject, setter.commit, signal)).brought;
      const underWay = reading.get(key) ?? read(key, subject, setter.commit, signal);
      reading.set(key, underWay);
      try {
        return (await underWay).brought;
      } finally {
        if (reading.get(key) === underWay) reading.delete(key);
      }
    },
  };
}

/** A log of events that has not named the pusher of a merge after this long will not any more. */
const LOG_SETTLED_MS = 10 * 60_000;

class EvidenceReader {
  readonly #deps: EvidenceDeps;
  readonly #changes: BringingChanges;
  readonly #commits = createMemory<ChangeEvidence['commits']>(1_000);
  readonly #histories = createMemory<ChangeEvidence['history']>(1_000);

  constructor(deps: EvidenceDeps, changes: BringingChanges) {
    this.#deps = deps;
    this.#changes = changes;
  }

  /** null: no merged change brought these bytes. */
  async read(subject: ApprovalSubject, setter: Oid, signal?: AbortSignal): Promise<ChangeEvidence | null> {
    const { opsRepo } = this.#deps;
    const change = await this.#changes.of(setter, subject, signal);
    if (change === null) return null;
    const { merge } = change;
    const [reviews, commits, history, makers, merged] = await Promise.all([
      this.#reviews(change, subject, signal),
      this.#commits.recall(`${change.number} ${merge.commit}`, () => this.#deps.forge.commits(change.number, signal)),
      this.#history(change, signal),
      this.#makers(setter, subject),
      regularFile(opsRepo, merge.commit, subject.path),
    ]);
    return {
      change,
      merge,
      reviews,
      commits,
      history,
      makers,
      mergedBlob: merged?.oid ?? null,
      mergedFormulaBlob: await formulaAt(merge.commit, subject, opsRepo),
      admins: await this.#admins([...reviews.map(({ by }) => by), ...(merge.by === null ? [] : [merge.by])], signal),
    };
  }

  /** What lies in the reviewed commits is asked of git. A short id could be any commit: it is never resolved. */
  async #reviews(change: Change, subject: ApprovalSubject, signal?: AbortSignal): Promise<readonly ReviewEvidence[]> {
    const { opsRepo, forge } = this.#deps;
    const reviews = await forge.reviews(change.number, signal);
    const wanted = reviews.flatMap(({ verdict, commit }) => (verdict !== 'none' && isOid(commit) ? [commit] : []));
    const there = wanted.length === 0 ? new Set<string>() : await opsRepo.obtain([...new Set(wanted)], signal);
    return Promise.all(
      reviews.map(async (review) => {
        const { commit, verdict } = review;
        if (verdict === 'none' || !isOid(commit) || !there.has(commit)) {
          return { ...review, blob: null, formulaBlob: null };
        }
        const file = await regularFile(opsRepo, commit, subject.path);
        return { ...review, blob: file?.oid ?? null, formulaBlob: await formulaAt(commit, subject, opsRepo) };
      }),
    );
  }

  /** Settled once the log names who pushed the merge. */
  async #history(change: Change, signal?: AbortSignal): Promise<ChangeEvidence['history']> {
    const { forge, clock } = this.#deps;
    const key = `${change.number} ${change.merge?.commit ?? ''}`;
    const unsettled = new Error('the log is not complete yet');
    let found: ChangeEvidence['history'] | null = null;
    const ask = async () => {
      found = await forge.history(change, signal);
      const age = clock.now().getTime() - Date.parse(change.merge?.at ?? '');
      if (found.landedBy === null && age < LOG_SETTLED_MS) throw unsettled;
      return found;
    };
    try {
      return await this.#histories.recall(key, ask);
    } catch (error) {
      if (error === unsettled && found !== null) return found;
      throw error;
    }
  }

  /**
   * Who made the bytes by git alone. Of a merge those on its merged side who introduced them; of a commit that the forge
   * made itself (squash, rebase) its author: its committer is only who merged.
   */
  async #makers(setter: Oid, subject: ApprovalSubject): Promise<readonly ClaimedPerson[]> {
    const { commits, authors } = await changeThatSet(setter, subject, this.#deps.opsRepo);
    return [...authors, ...commits.slice(1).map(({ committer }) => committer)];
  }

  async #admins(accounts: readonly Account[], signal?: AbortSignal): Promise<ReadonlySet<number>> {
    const admins = new Set<number>();
    if (!this.#deps.forgeAdmins) return admins;
    const byId = new Map(accounts.flatMap((account) => (account.id === null ? [] : [[account.id, account] as const])));
    for (const [id, account] of byId) if (await this.#deps.forge.isAdmin(account, signal)) admins.add(id);
    return admins;
  }
}
