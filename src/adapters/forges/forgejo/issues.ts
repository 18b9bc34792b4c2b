import { z } from 'zod';
import type { Account } from '../../../domain/change.ts';
import type { Check } from '../../../domain/check.ts';
import type { Issue, IssueComment } from '../../../domain/issue.ts';
import { TransientError } from '../../../errors.ts';
import type { IssueTracker } from '../../../ports/issues.ts';
import { changedAtOrAfter, type Labelling, noSuchIssue, settersOf, switchedOff } from '../shared/issues.ts';
import { accountOf } from './accounts.ts';
import { UNREAD_TEXT } from './changes.ts';
import { commentsOf } from './comments.ts';
import type { Dialect } from './dialect.ts';
import { checkIssues } from './issue-checks.ts';
import type { OwnAccount } from './own-account.ts';
import {
  type IssueRow,
  issueSchema,
  type LabelEvent,
  labelEventSchema,
  labelSchema,
  listOf,
  repositorySchema,
} from './schemas.ts';
import { Talk } from './talk.ts';
import { eventsOf } from './timeline.ts';
import { Writers, type WriterTools } from './writers.ts';

type Signal = AbortSignal | undefined;

interface IssueTools extends WriterTools {
  readonly own: OwnAccount;
  readonly dialect: Dialect;
}

/** Issues of Forgejo and Gitea. */
export class Issues implements IssueTracker {
  readonly repo: string;
  readonly #tools: IssueTools;
  readonly #talk: Talk;
  readonly #writers: Writers;

  constructor(tools: IssueTools) {
    this.repo = tools.repo;
    this.#tools = tools;
    this.#talk = new Talk(tools.api, tools.own);
    this.#writers = new Writers(tools);
  }

  check(signal?: AbortSignal): Promise<readonly Check[]> {
    return checkIssues({ ...this.#tools, writers: this.#writers }, signal);
  }

  async changedSince(since: string | null, signal?: AbortSignal): Promise<readonly Issue[]> {
    const list = {
      path: '/issues',
      query: { state: 'all', type: 'issues', ...(since === null ? {} : { since }) },
      // Anybody may write one; one that can't be read must not hide the others.
      item: z.looseObject({ number: z.int() }),
      keyOf: ({ number }: { readonly number: number }) => number,
      signal,
    };
    const { api } = this.#tools;
    const found = await (since === null ? api.all(list) : api.allInFew(list));
    if (found === null) await this.#requireIssues(signal);
    const rows = (found ?? []).flatMap((row) => issueSchema.safeParse(row).data ?? []);
    return changedAtOrAfter(rows.filter(isIssue).map(toIssue), since);
  }

  async issue(number: number, signal?: AbortSignal): Promise<Issue | null> {
    const row = await this.#tools.api.get({ path: '/issues/{number}', values: { number }, signal }, issueSchema);
    if (row === null) await this.#requireIssues(signal);
    return row === null || !isIssue(row) ? null : toIssue(row);
  }

  async comments(number: number, signal?: AbortSignal): Promise<readonly IssueComment[]> {
    const rows = await this.#ofIssue(number, () => commentsOf(this.#tools.api, number, signal), signal);
    return (rows ?? []).map(({ id, user, body }) => ({ id, author: accountOf(user), body: body ?? '' }));
  }

  async labelledBy(number: number, signal?: AbortSignal): Promise<ReadonlyMap<string, Account>> {
    const { api, dialect } = this.#tools;
    const call = { path: '/issues/{number}/labels', values: { number }, signal };
    const labels = await api.get(call, listOf(labelSchema));
    if (labels === null) await this.#requireIssues(signal);
    if (labels === null || labels.length === 0) return new Map();
    const asked = { number, item: labelEventSchema, longestText: UNREAD_TEXT, signal };
    const found = await this.#ofIssue(number, () => eventsOf(api, dialect.wholeTimeline, asked), signal);
    return settersOf(
      (found?.events ?? []).flatMap(toLabelling),
      labels.map(({ name }) => name),
    );
  }

  mayWrite(account: Account, signal?: AbortSignal): Promise<boolean> {
    return this.#writers.mayWrite(account, signal);
  }

  async self(signal?: AbortSignal): Promise<Account> {
    return accountOf(await this.#tools.own.user(signal));
  }

  async comment(issue: number, marker: string, body: string, signal?: AbortSignal): Promise<void> {
    const said = async () => {
      await this.#talk.comment(issue, marker, body, signal);
      return true;
    };
    if ((await this.#ofIssue(issue, said, signal)) === null) throw noSuchIssue(this.repo, issue);
  }

  /** Of an issue that is gone the forge knows no comments and no events: a fault of its own (500), it says. */
  async #ofIssue<T>(number: number, read: () => Promise<T>, signal: Signal): Promise<T | null> {
    try {
      const found = await read();
      if (found === null) await this.#requireIssues(signal);
      return found;
    } catch (error) {
      const isOutage = error instanceof TransientError && error.retryAfterMs === undefined;
      if (!isOutage || (await this.issue(number, signal)) !== null) throw error;
      return null;
    }
  }

  /** Where issues are switched off all seem to be gone. */
  async #requireIssues(signal: Signal): Promise<void> {
    const found = await this.#tools.api.repository.look(repositorySchema, signal);
    if (found.has_issues === false) throw switchedOff(this.repo);
  }
}

const isIssue = ({ pull_request: change }: IssueRow): boolean => !change;

function toIssue({ number, html_url: url, title, body, user, labels, state, updated_at: updatedAt }: IssueRow): Issue {
  const names = labels.map(({ name }) => name);
  return { number, url, title, body: body ?? '', author: accountOf(user), labels: names, state, updatedAt };
}

function toLabelling({ type, user, body, label }: LabelEvent): readonly Labelling[] {
  if (type !== 'label' || label === undefined || label === null) return [];
  return [{ label: label.id, name: label.name, isAdded: body === '1', by: accountOf(user) }];
}
