import { backoffMs } from '../../domain/backoff.ts';
import { sidecarNameOf } from '../../domain/ids.ts';
import type { Issue } from '../../domain/issue.ts';
import type { Reason } from '../../domain/run.ts';
import { decomposedFrom, hasLabelsOf, type SidecarRule } from '../../domain/sidecar.ts';
import { StalledError, TransientError } from '../../errors.ts';
import type { IssueTracker } from '../../ports/issues.ts';
import type { StoryContext } from '../context.ts';
import type { ReadAction } from '../read-action.ts';
import { reason, reasonOf } from '../reasons.ts';
import type { Ready } from '../run-action.ts';
import { type Waiting, waiting } from '../waiting.ts';
import { IssueBook, type IssueFacts } from './issue-book.ts';
import { budgetOf, type IssueVerdict, judgeIssue } from './judge-issue.ts';
import { runsOf, SidecarResults } from './past-runs.ts';
import { approvalOf } from './read-sidecar.ts';

export interface SidecarSettings {
  readonly rules: readonly SidecarRule[];
  /** By `owner/name`; there is one for each rule. */
  readonly trackers: ReadonlyMap<string, IssueTracker>;
  /** Logins whose comments are no people's. */
  readonly bots: readonly string[];
}

/** What the daemon does at this moment, which is newer than the journal it last read. */
export interface UnderWay {
  isBusy(id: string): boolean;
  resting(id: string): Reason | null;
  readonly ids: Iterable<string>;
}

export interface Wanted {
  readonly ready: readonly Ready[];
  readonly waiting: ReadonlyMap<string, Reason>;
}

export interface Polled {
  /** How long the forge wants to be left alone, in milliseconds; 0: it does not say. */
  readonly rest: number;
  /** Something is known that was not before. */
  readonly isNews: boolean;
}

export interface JudgedIssue {
  readonly rule: SidecarRule;
  readonly issue: Issue;
  readonly verdict: IssueVerdict;
}

/** One issue with all that was asked about it. */
export interface InspectedIssue extends JudgedIssue {
  readonly facts: IssueFacts;
  /** All that say to be a part of it, whoever wrote them. */
  readonly parts: readonly Issue[];
}

/** Issues that are asked about in one poll: each is some requests. */
const MOST_LEARNT = 50;
/** So many in a row that can't be asked about are the forge's fault, not theirs; the next poll tells. */
const MOST_FAILURES = 3;

/** The other source of work: which issues want a run. `poll` asks the forge, `judge` git alone. */
export class Sidecars {
  readonly #settings: SidecarSettings;
  readonly #context: StoryContext;
  readonly #books: ReadonlyMap<string, IssueBook>;
  readonly #results: SidecarResults;
  /** Of each repository that was away at the last poll, why. */
  readonly #outages = new Map<string, Reason>();
  /** Until when each of these is left alone, by the monotonic clock. */
  readonly #rests = new Map<string, { readonly until: number; readonly failures: number }>();
  /** Issues that the forge could not answer for when they were last asked about. */
  readonly #unread = new Set<string>();

  constructor(settings: SidecarSettings, context: StoryContext) {
    this.#settings = settings;
    this.#context = context;
    this.#results = new SidecarResults(context);
    this.#books = new Map(
      [...settings.trackers].map(([repo, tracker]) => [repo, new IssueBook(tracker, settings.bots, context.clock)]),
    );
  }

  /**
   * One list request for each repository, and what has to be asked about issues that would be work. Of a repository that
   * is away nothing is work until it is back, which is said once. Never throws for an outage.
   */
  async poll(signal?: AbortSignal, most = MOST_LEARNT): Promise<Polled> {
    const { clock } = this.#context;
    let rest = 0;
    let isNews = false;
    for (const [repo, book] of this.#books) {
      // One repository that is away, or that the token may not see, is no reason to look at the others less often.
      if (clock.monotonic() < (this.#rests.get(repo)?.until ?? 0)) continue;
      try {
        isNews = (await this.#pollOne(repo, book, most, signal)) || isNews;
        isNews = this.#back(repo) || isNews;
      } catch (error) {
        signal?.throwIfAborted();
        if (!(error instanceof TransientError || error instanceof StalledError)) throw error;
        rest = Math.max(rest, this.#restAfter(repo, error));
      }
    }
    return { rest, isNews };
  }

  async #pollOne(repo: string, book: IssueBook, most: number, signal: AbortSignal | undefined): Promise<boolean> {
    let isNews = await book.refresh(signal);
    const unknown = (await this.judged(repo)).filter(({ verdict }) => verdict.kind === 'unknown');
    const open = new Map(unknown.map(({ issue }) => [issue.number, issue]));
    let failures = 0;
    for (const issue of [...open.values()].filter((each) => book.mayLearn(each)).slice(0, most)) {
      if (failures === MOST_FAILURES) break;
      const isLearnt = await this.#learn(book, issue, signal);
      failures = isLearnt ? 0 : failures + 1;
      isNews ||= isLearnt;
    }
    return isNews;
  }

  /** False: the forge has answered the list, and can't answer for this issue; that is no reason to leave the others. */
  async #learn(book: IssueBook, issue: Issue, signal: AbortSignal | undefined): Promise<boolean> {
    const { repo } = book.tracker;
    const key = `${repo} ${issue.number}`;
    try {
      await book.learn(issue, signal);
      this.#unread.delete(key);
      return true;
    } catch (error) {
      if (!(error instanceof TransientError) || error.retryAfterMs !== undefined) throw error;
      book.putOff(issue);
      const { code, message, hint } = error;
      if (!this.#unread.has(key)) {
        this.#context.log.warn('cannot look at an issue', { repo, issue: issue.number, code, reason: message, hint });
      }
      this.#unread.add(key);
      return false;
    }
  }

  /** Each open issue that has the labels of a rule. Errors: those of the ops repo. */
  async judged(repo?: string): Promise<readonly JudgedIssue[]> {
    const found: JudgedIssue[] = [];
    for (const rule of this.#settings.rules.filter((each) => repo === undefined || each.repo === repo)) {
      const book = this.#books.get(rule.repo);
      for (const issue of book?.issues() ?? []) {
        if (!hasLabelsOf(rule, issue)) continue;
        const verdict = await this.#verdict(rule, issue);
        if (verdict !== null) found.push({ rule, issue, verdict });
      }
    }
    return found;
  }

  /**
   * Asks the forge for one issue alone, and says what one rule makes of it; null: there is no such issue. Errors: those
   * of the tracker and of the ops repo.
   */
  async inspect(rule: SidecarRule, number: number, signal?: AbortSignal): Promise<InspectedIssue | null> {
    const book = this.#books.get(rule.repo);
    await book?.refresh(signal);
    const issue = book?.issue(number) ?? null;
    if (book === undefined || issue === null) return null;
    const facts = book.facts(issue) ?? (await book.learn(issue, signal));
    const parts = book.issues().filter((other) => decomposedFrom(other).includes(number));
    const verdict = await this.#verdict(rule, issue);
    return verdict === null ? null : { rule, issue, verdict, facts, parts };
  }

  /** What wants to run at this moment. Errors: those of the ops repo. */
  async judge(under: UnderWay): Promise<Wanted> {
    const ready: Ready[] = [];
    const waits = new Map<string, Reason>();
    const slots = this.#slots(under);
    const busy = new Set([...under.ids].map(issueOf));
    for (const { rule, issue, verdict } of await this.judged()) {
      if (verdict.kind !== 'ready' && verdict.kind !== 'waits') continue;
      const { id } = verdict;
      // Also where its number has moved on meanwhile: what is being started is in no journal yet.
      if (under.isBusy(id) || busy.has(issueOf(id))) continue;
      const why =
        verdict.kind === 'waits'
          ? verdict.why.reason
          : (this.#outages.get(rule.repo) ?? under.resting(id) ?? this.#noSlot(rule, slots));
      if (why !== null) waits.set(id, why);
      else if (verdict.kind === 'ready') {
        slots.set(rule.formula, (slots.get(rule.formula) ?? 0) + 1);
        ready.push(this.#readyOf(rule, issue, verdict));
      }
    }
    return { ready, waiting: waits };
  }

  /** Why the issues of a repository are not seen at this moment. */
  outages(): readonly { readonly repo: string; readonly reason: Reason }[] {
    return [...this.#outages].map(([repo, why]) => ({ repo, reason: why }));
  }

  get repos(): readonly string[] {
    return [...this.#books.keys()];
  }

  async #verdict(rule: SidecarRule, issue: Issue): Promise<IssueVerdict | null> {
    const book = this.#books.get(rule.repo);
    if (book === undefined) return null;
    return judgeIssue(rule, issue, { book, results: this.#results, context: this.#context });
  }

  #readyOf(rule: SidecarRule, issue: Issue, { read }: Extract<IssueVerdict, { kind: 'ready' }>): Ready {
    const again = () => this.#again(rule, issue.number, read);
    return { kind: 'ready', read, approval: approvalOf(read, rule, this.#context), again };
  }

  /** The issue may be another one by now: it is read anew before anything is claimed. Errors: tracker and ops repo. */
  async #again(rule: SidecarRule, number: number, before: ReadAction): Promise<Ready | Waiting> {
    const changed = (what: string) => waiting('ERR_ISSUE_CHANGED', `issue #${number} of ${rule.repo} ${what}`);
    const book = this.#books.get(rule.repo);
    if (book === undefined) return changed('is gone');
    // Its parts may have changed as well, or there may be more of them.
    if (rule.when !== null) await book.refresh();
    const issue = await book.tracker.issue(number);
    if (issue === null) {
      book.gone(number);
      return changed('is gone');
    }
    book.put(issue);
    if (!hasLabelsOf(rule, issue)) return changed('was closed, or has other labels by now');
    const facts = await book.learn(issue);
    if (facts.digest !== before.sidecar?.digest) return changed('has changed just now');
    const verdict = await this.#verdict(rule, issue);
    if (verdict?.kind === 'ready') {
      const other = otherThan(before, verdict.read);
      return other === null ? this.#readyOf(rule, issue, verdict) : changed(other);
    }
    if (verdict !== null && 'why' in verdict) return verdict.why;
    return changed(`is no work for ${rule.formula} any more`);
  }

  #slots({ ids }: UnderWay): Map<string, number> {
    const { world, clock } = this.#context;
    const busy = [...ids];
    return new Map(
      this.#settings.rules.map(({ formula }) => {
        const { live } = runsOf(world(), formula, clock.now());
        const own = busy.filter((id) => sidecarNameOf(id)?.formula === formula);
        return [formula, new Set([...live, ...own]).size];
      }),
    );
  }

  #noSlot(rule: SidecarRule, slots: ReadonlyMap<string, number>): Reason | null {
    const { formula, in_flight } = rule;
    const taken = slots.get(formula) ?? 0;
    if (taken >= in_flight) return reason('ERR_SLOT', `${formula} has ${taken} of ${in_flight} runs on issues`);
    // What begins in this very pass, or began since the journal was read, counts too.
    const { world, clock } = this.#context;
    return budgetOf(rule, world(), clock.now(), taken)?.reason ?? null;
  }

  /** Answers for how long the forge itself wants to be left alone, in milliseconds. */
  #restAfter(repo: string, error: TransientError | StalledError): number {
    const { clock } = this.#context;
    this.#away(repo, reasonOf(error));
    const asked = error instanceof TransientError ? (error.retryAfterMs ?? 0) : 0;
    const failures = (this.#rests.get(repo)?.failures ?? 0) + 1;
    const until = clock.monotonic() + Math.max(asked, backoffMs(failures, clock.random()));
    this.#rests.set(repo, { until, failures });
    return asked;
  }

  #away(repo: string, why: Reason): void {
    const before = this.#outages.get(repo);
    this.#outages.set(repo, why);
    if (before !== undefined) return;
    const { code, message, hint } = why;
    this.#context.log.warn('cannot look at the issues', { repo, code, reason: message, hint });
  }

  #back(repo: string): boolean {
    this.#rests.delete(repo);
    const wasAway = this.#outages.delete(repo);
    if (wasAway) this.#context.log.info('the issues can be seen again', { repo });
    return wasAway;
  }
}

/** Formula and issue of a sidecar's id, whichever run of it. */
const issueOf = (id: string): string => id.slice(0, id.lastIndexOf('-'));

/** Why this is not the run that was to begin; null: it is. */
function otherThan(before: ReadAction, { candidate }: ReadAction): string | null {
  if (candidate.id !== before.candidate.id) return `had another run: the next one is ${candidate.id}`;
  const isSame = candidate.file.entry.oid === before.candidate.file.entry.oid;
  return isSame ? null : `was to be worked on with other bytes of ${candidate.file.path}`;
}
