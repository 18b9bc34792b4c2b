import { sidecarNameOf } from '../../domain/ids.ts';
import type { Issue } from '../../domain/issue.ts';
import type { Reason } from '../../domain/run.ts';
import { decomposedFrom, hasLabelsOf, type SidecarRule } from '../../domain/sidecar.ts';
import { StalledError, TransientError } from '../../errors.ts';
import type { IssueTracker } from '../../ports/issues.ts';
import type { StoryContext } from '../context.ts';
import { reason, reasonOf } from '../reasons.ts';
import type { Ready } from '../run-action.ts';
import { type Waiting, waiting } from '../waiting.ts';
import { IssueBook, type IssueFacts } from './issue-book.ts';
import { type IssueVerdict, judgeIssue } from './judge-issue.ts';
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
  /** How long the forge wants to be left alone, in milliseconds; null: it is away and does not say; 0: all is well. */
  readonly rest: number | null;
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

/** The other source of work: which issues want a run. `poll` asks the forge, `judge` git alone. */
export class Sidecars {
  readonly #settings: SidecarSettings;
  readonly #context: StoryContext;
  readonly #books: ReadonlyMap<string, IssueBook>;
  readonly #results: SidecarResults;
  /** Of each repository that was away at the last poll, why. */
  readonly #outages = new Map<string, Reason>();

  constructor(settings: SidecarSettings, context: StoryContext) {
    this.#settings = settings;
    this.#context = context;
    this.#results = new SidecarResults(context.opsRepo);
    this.#books = new Map(
      [...settings.trackers].map(([repo, tracker]) => [repo, new IssueBook(tracker, settings.bots, context.clock)]),
    );
  }

  /**
   * One list request for each repository, and what has to be asked about issues that would be work. Of a repository that
   * is away nothing is work until it is back, which is said once. Never throws for an outage.
   */
  async poll(signal?: AbortSignal): Promise<Polled> {
    let rest: number | null = 0;
    let isNews = false;
    for (const [repo, book] of this.#books) {
      try {
        isNews = (await this.#pollOne(repo, book, signal)) || isNews;
        isNews = this.#back(repo) || isNews;
      } catch (error) {
        signal?.throwIfAborted();
        if (!(error instanceof TransientError || error instanceof StalledError)) throw error;
        this.#away(repo, reasonOf(error));
        const asked = error instanceof TransientError ? (error.retryAfterMs ?? null) : null;
        rest = rest === null || asked === null ? null : Math.max(rest, asked);
      }
    }
    return { rest, isNews };
  }

  async #pollOne(repo: string, book: IssueBook, signal: AbortSignal | undefined): Promise<boolean> {
    let isNews = await book.refresh(signal);
    const unknown = (await this.judged(repo)).filter(({ verdict }) => verdict.kind === 'unknown');
    const open = new Map(unknown.map(({ issue }) => [issue.number, issue]));
    for (const issue of [...open.values()].filter((each) => book.mayLearn(each)).slice(0, MOST_LEARNT)) {
      await book.learn(issue, signal);
      isNews = true;
    }
    return isNews;
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
    for (const { rule, issue, verdict } of await this.judged()) {
      if (verdict.kind !== 'ready' && verdict.kind !== 'waits') continue;
      const { id } = verdict;
      if (under.isBusy(id)) continue;
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
    const again = () => this.#again(rule, issue.number, read.sidecar?.digest ?? '');
    return { kind: 'ready', read, approval: approvalOf(read, rule, this.#context), again };
  }

  /** The issue may be another one by now: it is read anew before anything is claimed. Errors: tracker and ops repo. */
  async #again(rule: SidecarRule, number: number, digest: string): Promise<Ready | Waiting> {
    const changed = (what: string) => waiting('ERR_ISSUE_CHANGED', `issue #${number} of ${rule.repo} ${what}`);
    const book = this.#books.get(rule.repo);
    const issue = (await book?.tracker.issue(number)) ?? null;
    if (book === undefined || issue === null) {
      book?.gone(number);
      return changed('is gone');
    }
    book.put(issue);
    if (!hasLabelsOf(rule, issue)) return changed('was closed, or has other labels by now');
    const facts = await book.learn(issue);
    if (facts.digest !== digest) return changed('has changed just now');
    const verdict = await this.#verdict(rule, issue);
    if (verdict?.kind === 'ready') return this.#readyOf(rule, issue, verdict);
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

  #noSlot({ formula, in_flight }: SidecarRule, slots: ReadonlyMap<string, number>): Reason | null {
    const taken = slots.get(formula) ?? 0;
    if (taken < in_flight) return null;
    return reason('ERR_SLOT', `${formula} has ${taken} of ${in_flight} runs on issues`);
  }

  #away(repo: string, why: Reason): void {
    const before = this.#outages.get(repo);
    this.#outages.set(repo, why);
    if (before !== undefined) return;
    const { code, message, hint } = why;
    this.#context.log.warn('cannot look at the issues', { repo, code, reason: message, hint });
  }

  #back(repo: string): boolean {
    const wasAway = this.#outages.delete(repo);
    if (wasAway) this.#context.log.info('the issues can be seen again', { repo });
    return wasAway;
  }
}
