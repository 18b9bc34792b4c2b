import { abortable } from '../../domain/abortable.ts';
import type { Account } from '../../domain/change.ts';
import type { ChangeEvidence, ReviewEvidence } from '../../domain/forge-verdict.ts';
import { isOid, type Oid } from '../../domain/ids.ts';
import type { ClaimedPerson } from '../../domain/people.ts';
import type { ApprovalSubject } from '../../ports/approval.ts';
import { type Asked, createWanted, isDue } from './asking.ts';
import {
  type Bringing,
  type BringingChanges,
  createBringingChanges,
  type EvidenceDeps,
  type MergedChange,
} from './bringing-change.ts';
import { createMemory } from './remember.ts';
import { createSetters, regularFile } from './setter.ts';
import { changeThatSet, formulaAt } from './signed-evidence.ts';

/** What is known of how the bytes of a subject came to the branch. */
type Brought =
  | { readonly kind: 'change'; readonly evidence: ChangeEvidence }
  /** The forge maps the commit that set the bytes to a change that does not touch them. */
  | { readonly kind: 'unrelated'; readonly url: string }
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

interface Kept extends Asked {
  readonly brought: Brought;
}

/** One for all rules that ask the forge: what one of them had read, the others need not ask for. */
export function createChangeEvidences(deps: EvidenceDeps): ChangeEvidences {
  const setters = createSetters(deps.opsRepo);
  const changes = createBringingChanges(deps);
  const reader = new EvidenceReader(deps, changes);
  const kept = new Map<string, Kept>();
  const reading = new Map<string, Promise<Kept>>();
  const wanted = createWanted(deps.clock);

  async function read(key: string, subject: ApprovalSubject, setter: Oid): Promise<Kept> {
    const now = deps.clock.monotonic();
    const firstSeen = kept.get(key)?.firstSeen ?? now;
    // Seen before the first answer too: while evidence can't be read the grace runs, but nothing final is said.
    if (!kept.has(key)) kept.set(key, { firstSeen, readAt: -Infinity, wantedAt: now, brought: { kind: 'elsewhere' } });
    const found = await reader.read(subject, setter);
    const isLate = now - firstSeen >= deps.graceMs;
    const brought: Brought =
      found.kind === 'none' ? { kind: 'none', commit: setter, final: isLate && found.isSure } : found;
    const answer = { firstSeen, readAt: now, wantedAt: now, brought };
    kept.set(key, answer);
    return answer;
  }

  /** Shared by whoever asks meanwhile, so nobody's signal ends it; every call to the forge has a time limit of its own. */
  function shared(key: string, subject: ApprovalSubject, setter: Oid): Promise<Kept> {
    const underWay = reading.get(key) ?? read(key, subject, setter);
    reading.set(key, underWay);
    const done = () => {
      if (reading.get(key) === underWay) reading.delete(key);
    };
    underWay.then(done, done);
    return underWay;
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
      if (known !== undefined && fresh !== true && !isDue(known, wanted.count(kept), now)) return known.brought;
      // What was begun before is not fresh.
      const answer = fresh === true ? read(key, subject, setter.commit) : shared(key, subject, setter.commit);
      return (await abortable(answer, signal)).brought;
    },
  };
}

/** A log of events that has not named the pusher of a merge after this long will not any more. */
const LOG_SETTLED_MS = 10 * 60_000;
/** So late may a push show in the log; seen: 2.5 s. */
const LOG_LAG_MS = 30_000;

type Read = Exclude<Brought, { readonly kind: 'none' | 'elsewhere' }> | Extract<Bringing, { readonly kind: 'none' }>;

class EvidenceReader {
  readonly #deps: EvidenceDeps;
  readonly #changes: BringingChanges;
  readonly #commits = createMemory<ChangeEvidence['commits']>(1_000);
  readonly #shown = createMemory<boolean>();
  readonly #histories = new Map<string, ChangeEvidence['history']>();

  constructor(deps: EvidenceDeps, changes: BringingChanges) {
    this.#deps = deps;
    this.#changes = changes;
  }

  async read(subject: ApprovalSubject, setter: Oid): Promise<Read> {
    const { opsRepo } = this.#deps;
    const bringing = await this.#changes.of(setter, subject);
    if (bringing.kind === 'none') return bringing;
    if (bringing.kind === 'unrelated') return { kind: 'unrelated', url: bringing.change.url };
    const { change } = bringing;
    const { merge } = change;
    const [reviews, commits, history, makers, merged] = await Promise.all([
      this.#reviews(change.number, setter, subject),
      this.#commits.recall(`${change.number} ${merge.commit}`, () => this.#deps.forge.commits(change.number)),
      this.#history(change),
      this.#makers(setter, subject),
      regularFile(opsRepo, merge.commit, subject.path),
    ]);
    const evidence = {
      change,
      merge,
      reviews,
      commits,
      history,
      makers,
      mergedBlob: merged?.oid ?? null,
      mergedFormulaBlob: await formulaAt(merge.commit, subject, opsRepo),
      admins: await this.#admins([...reviews.map(({ by }) => by), ...(merge.by === null ? [] : [merge.by])]),
    };
    return { kind: 'change', evidence };
  }

  /** What lies in the reviewed commits is asked of git. A short id could be any commit: it is never resolved. */
  async #reviews(change: number, setter: Oid, subject: ApprovalSubject): Promise<readonly ReviewEvidence[]> {
    const { opsRepo, forge } = this.#deps;
    const [before] = (await opsRepo.commit(setter)).parents;
    const reviews = await forge.reviews(change);
    const wanted = reviews.flatMap(({ verdict, commit }) => (verdict !== 'none' && isOid(commit) ? [commit] : []));
    const there = wanted.length === 0 ? new Set<string>() : await opsRepo.obtain([...new Set(wanted)]);
    return Promise.all(
      reviews.map(async (review) => {
        const { commit, verdict } = review;
        if (verdict === 'none' || !isOid(commit) || !there.has(commit)) {
          return { ...review, isKnown: false, isShown: false, blob: null, formulaBlob: null };
        }
        const file = await regularFile(opsRepo, commit, subject.path);
        const isShown = file?.oid === subject.blob && (await this.#isShown(commit, before, subject));
        const formulaBlob = await formulaAt(commit, subject, opsRepo);
        return { ...review, isKnown: true, isShown, blob: file?.oid ?? null, formulaBlob };
      }),
    );
  }

  /**
   * A tree may hold bytes that its line never touched, because the branch held them once: whoever reviewed that line was
   * shown nothing of them.
   */
  #isShown(commit: Oid, before: Oid | undefined, { path, blob }: ApprovalSubject): Promise<boolean> {
    const { opsRepo } = this.#deps;
    if (before === undefined) return Promise.resolve(true);
    return this.#shown.recall([commit, before, blob, path].join('\n'), async () => {
      for (const base of await opsRepo.mergeBases(commit, before)) {
        if ((await regularFile(opsRepo, base, path))?.oid === blob) return false;
      }
      return true;
    });
  }

  /** Settled once the log names who pushed the merge, and has had time for what came before it. */
  async #history(change: MergedChange): Promise<ChangeEvidence['history']> {
    const { forge, clock } = this.#deps;
    const key = `${change.number} ${change.merge.commit}`;
    const known = this.#histories.get(key);
    if (known !== undefined) return known;
    const found = await forge.history(change);
    const age = clock.now().getTime() - Date.parse(change.merge.at);
    if (age >= (found.landedBy === null ? LOG_SETTLED_MS : LOG_LAG_MS)) keepNewest(this.#histories, key, found);
    return found;
  }

  /**
   * Who made the bytes by git alone. Of a merge those on its merged side who introduced them; of a commit that the forge
   * made itself (squash, rebase) its author: its committer is only who merged.
   */
  async #makers(setter: Oid, subject: ApprovalSubject): Promise<readonly ClaimedPerson[]> {
    const { commits, authors } = await changeThatSet(setter, subject, this.#deps.opsRepo);
    return [...authors, ...commits.slice(1).map(({ committer }) => committer)];
  }

  async #admins(accounts: readonly Account[]): Promise<ReadonlySet<number>> {
    const admins = new Set<number>();
    if (!this.#deps.forgeAdmins) return admins;
    const byId = new Map(accounts.flatMap((account) => (account.id === null ? [] : [[account.id, account] as const])));
    for (const [id, account] of byId) if (await this.#deps.forge.isAdmin(account)) admins.add(id);
    return admins;
  }
}

function keepNewest<T>(map: Map<string, T>, key: string, value: T): void {
  map.set(key, value);
  const [oldest] = map.keys();
  if (map.size > 1_000 && oldest !== undefined) map.delete(oldest);
}
