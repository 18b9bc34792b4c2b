import type { Account } from '../../domain/change.ts';
import type { Issue, IssueComment } from '../../domain/issue.ts';
import { decomposedFrom, issueDigest } from '../../domain/sidecar.ts';
import { StalledError } from '../../errors.ts';
import type { Clock } from '../../ports/clock.ts';
import type { IssueTracker } from '../../ports/issues.ts';

/** What has to be asked about one issue beside its line in the list. */
export interface IssueFacts {
  /** `issueDigest` of all that people said. */
  readonly digest: string;
  /** Labels of it that somebody put there who may write. */
  readonly proven: ReadonlySet<string>;
  /** Its parts, of authors who may write: others could hold it up, or let it go on. */
  readonly subIssues: readonly Issue[];
}

/** Deleted and moved issues are in no list of what changed. */
const ALL_AFTER_MS = 6 * 3_600_000;
const LEARN_AFTER_MS = 60_000;
/** More than this no clock that anybody looks after is wrong. */
const FUTURE_MS = 3_600_000;
const NOTHING: IssueFacts = { digest: '', proven: new Set(), subIssues: [] };

/**
 * The issues of one repository as they were last seen, so that a poll costs one request, and what was asked about those
 * that are work.
 */
export class IssueBook {
  readonly tracker: IssueTracker;
  readonly #bots: ReadonlySet<string>;
  readonly #clock: Clock;
  readonly #issues = new Map<number, Issue>();
  /** Numbers of the issues that call themselves a part of this one. */
  readonly #partsOf = new Map<number, Set<number>>();
  readonly #facts = new Map<number, { readonly of: string; readonly at: number; readonly facts: IssueFacts }>();
  #since: string | null = null;
  #allAt = 0;

  /** `bots`: logins whose comments are no people's. */
  constructor(tracker: IssueTracker, bots: readonly string[], clock: Clock) {
    this.tracker = tracker;
    this.#bots = new Set(bots.map((login) => login.toLowerCase()));
    this.#clock = clock;
  }

  /** Asks for what is new; false: nothing is. Errors: those of the tracker, which leave all as it was. */
  async refresh(signal?: AbortSignal): Promise<boolean> {
    const now = this.#clock.monotonic();
    const isAll = this.#since === null || now - this.#allAt >= ALL_AFTER_MS;
    const found = await this.tracker.changedSince(isAll ? null : this.#since, signal);
    // What changed in the last second of before comes again each time.
    const isNew = found.some((issue) => JSON.stringify(this.#issues.get(issue.number)) !== JSON.stringify(issue));
    if (isAll) this.#since = null;
    for (const issue of found) {
      this.put(issue);
      this.#advance(issue);
    }
    if (isAll) {
      const there = new Set(found.map(({ number }) => number));
      for (const number of this.#issues.keys()) if (!there.has(number)) this.gone(number);
      this.#allAt = now;
    }
    for (const number of this.#facts.keys()) if (!this.#issues.has(number)) this.#facts.delete(number);
    return isNew;
  }

  put(issue: Issue): void {
    this.gone(issue.number);
    this.#issues.set(issue.number, issue);
    for (const parent of decomposedFrom(issue)) {
      const parts = this.#partsOf.get(parent) ?? new Set();
      this.#partsOf.set(parent, parts.add(issue.number));
    }
  }

  /** By what a list told alone: of an issue that was read by itself, others may have changed shortly before. */
  #advance({ updatedAt }: Issue): void {
    const at = Date.parse(updatedAt);
    // What a forge dates into the future would hide all that changes until then.
    if (at > this.#clock.now().getTime() + FUTURE_MS) return;
    if (this.#since === null || at > Date.parse(this.#since)) this.#since = updatedAt;
  }

  gone(number: number): void {
    const before = this.#issues.get(number);
    if (before === undefined) return;
    for (const parent of decomposedFrom(before)) this.#partsOf.get(parent)?.delete(number);
    this.#issues.delete(number);
  }

  /** Oldest change first. */
  issues(): readonly Issue[] {
    return [...this.#issues.values()].toSorted(
      (a, b) => Date.parse(a.updatedAt) - Date.parse(b.updatedAt) || a.number - b.number,
    );
  }

  issue(number: number): Issue | null {
    return this.#issues.get(number) ?? null;
  }

  /** What was asked about it, if that is still what it is of. */
  facts(issue: Issue): IssueFacts | null {
    const known = this.#facts.get(issue.number);
    return known?.of === this.#stateOf(issue) ? known.facts : null;
  }

  /** Not just now: anybody who may comment could keep us asking otherwise. */
  mayLearn({ number }: Issue): boolean {
    const known = this.#facts.get(number);
    return known === undefined || this.#clock.monotonic() - known.at >= LEARN_AFTER_MS;
  }

  /** It could not be asked about: not again just now, so that others have their turn. */
  putOff({ number }: Issue): void {
    this.#facts.set(number, { of: '', at: this.#clock.monotonic(), facts: NOTHING });
  }

  /** Asks anew. Errors: those of the tracker. */
  async learn(issue: Issue, signal?: AbortSignal): Promise<IssueFacts> {
    const of = this.#stateOf(issue);
    const subIssues = await this.#byWriters(this.#parts(issue.number), ({ author }) => author, signal);
    const comments = await this.#peoplesComments(issue.number, signal);
    const facts = {
      digest: issueDigest({ issue, subIssues, comments }),
      proven: await this.#provenLabels(issue, signal),
      subIssues,
    };
    this.#facts.set(issue.number, { of, at: this.#clock.monotonic(), facts });
    return facts;
  }

  async #peoplesComments(number: number, signal: AbortSignal | undefined): Promise<readonly IssueComment[]> {
    const comments = await this.tracker.comments(number, signal);
    if (comments.length === 0) return [];
    const self = await this.#self(signal);
    const isBot = (by: Account) => by.isBot || by.id === self || this.#bots.has(by.login.toLowerCase());
    const peoples = comments.filter(({ author }) => author.id !== null && !isBot(author));
    return this.#byWriters(peoples, ({ author }) => author, signal);
  }

  /** null: the token may not ask whose it is; then the bots of the configuration have to do. */
  async #self(signal: AbortSignal | undefined): Promise<number | null> {
    try {
      return (await this.tracker.self(signal)).id;
    } catch (error) {
      if (error instanceof StalledError) return null;
      throw error;
    }
  }

  async #provenLabels({ number, labels }: Issue, signal: AbortSignal | undefined): Promise<ReadonlySet<string>> {
    if (labels.length === 0) return new Set();
    const setters = [...(await this.tracker.labelledBy(number, signal))];
    const proven = await this.#byWriters(setters, ([, by]) => by, signal);
    return new Set(proven.map(([label]) => label));
  }

  async #byWriters<T>(
    items: readonly T[],
    authorOf: (item: T) => Account,
    signal: AbortSignal | undefined,
  ): Promise<readonly T[]> {
    const kept: T[] = [];
    for (const item of items) if (await this.tracker.mayWrite(authorOf(item), signal)) kept.push(item);
    return kept;
  }

  #parts(number: number): readonly Issue[] {
    return [...(this.#partsOf.get(number) ?? [])].flatMap((part) => this.#issues.get(part) ?? []);
  }

  /** Comments move `updatedAt` too. */
  #stateOf({ number, updatedAt }: Issue): string {
    const parts = this.#parts(number).map((part) => [part.number, part.state, part.updatedAt]);
    return JSON.stringify([updatedAt, parts.toSorted(([a], [b]) => Number(a) - Number(b))]);
  }
}
