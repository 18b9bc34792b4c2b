import { z } from 'zod';
import type { Account } from '../../../domain/change.ts';
import type { Check } from '../../../domain/check.ts';
import type { Issue, IssueComment } from '../../../domain/issue.ts';
import { StalledError } from '../../../errors.ts';
import type { IssueTracker } from '../../../ports/issues.ts';
import { changedAtOrAfter, type Labelling, settersOf, switchedOff } from '../shared/issues.ts';
import { accountOf } from './accounts.ts';
import { permissionOf } from './admins.ts';
import type { RepoApi } from './api.ts';
import { checkIssues } from './issue-checks.ts';
import type { OwnAccount } from './own-account.ts';
import { UNREAD_TEXT } from './pages.ts';
import {
  commentSchema,
  type IssueRow,
  issueSchema,
  type LabelEvent,
  labelEventSchema,
  labelSchema,
  repositorySchema,
} from './schemas.ts';
import { Talk } from './talk.ts';

type Signal = AbortSignal | undefined;

interface IssueTools {
  readonly api: RepoApi;
  readonly admins: RepoApi | null;
  readonly own: OwnAccount;
  /** `owner/name` */
  readonly repo: string;
}

/** 410: it was deleted, or issues are switched off. */
const GONE: readonly number[] = [404, 410];
/** `maintain` reads `write`. */
const WRITING: readonly string[] = ['write', 'maintain', 'admin'];

/** GitHub's issues. Its lists count pull requests among them. */
export class Issues implements IssueTracker {
  readonly repo: string;
  readonly #tools: IssueTools;
  readonly #talk: Talk;

  constructor(tools: IssueTools) {
    this.repo = tools.repo;
    this.#tools = tools;
    this.#talk = new Talk(tools.api, tools.own);
  }

  check(signal?: AbortSignal): Promise<readonly Check[]> {
    const { api, admins } = this.#tools;
    return checkIssues({ ...this.#tools, askers: admins ?? api }, signal);
  }

  async changedSince(since: string | null, signal?: AbortSignal): Promise<readonly Issue[]> {
    const found = await this.#tools.api.all({
      path: '/issues',
      // In the order of their making, so that no change moves what was read already.
      query: { state: 'all', sort: 'created', direction: 'asc', ...(since === null ? {} : { since }) },
      // Anybody may write one; one that can't be read must not hide the others.
      page: z.array(z.looseObject({ number: z.int() })),
      keyOf: ({ number }) => number,
      absent: GONE,
      signal,
    });
    if (found === null) await this.#none(signal);
    const rows = (found ?? []).flatMap((row) => issueSchema.safeParse(row).data ?? []);
    return changedAtOrAfter(rows.filter(isIssue).map(toIssue), since);
  }

  async issue(number: number, signal?: AbortSignal): Promise<Issue | null> {
    const call = { path: '/issues/{number}', values: { number }, absent: GONE, signal };
    const row = await this.#tools.api.get(call, issueSchema);
    if (row === null) return await this.#none(signal);
    return isIssue(row) && (await this.#isOurs(row, number, signal)) ? toIssue(row) : null;
  }

  async comments(number: number, signal?: AbortSignal): Promise<readonly IssueComment[]> {
    const call = { path: '/issues/{number}/comments', values: { number }, absent: GONE, signal };
    const page = z.array(commentSchema);
    const rows = (await this.#tools.api.all({ ...call, page, keyOf: ({ id }) => id })) ?? (await this.#none(signal));
    return (rows ?? [])
      .map(({ id, user, body }) => ({ id, author: accountOf(user), body: body ?? '' }))
      .toSorted((a, b) => a.id - b.id);
  }

  async labelledBy(number: number, signal?: AbortSignal): Promise<ReadonlyMap<string, Account>> {
    const { api } = this.#tools;
    const ask = { values: { number }, absent: GONE, signal };
    const named = { page: z.array(labelSchema), keyOf: ({ name }: { readonly name: string }) => name };
    const labels = (await api.all({ path: '/issues/{number}/labels', ...ask, ...named })) ?? (await this.#none(signal));
    if (labels === null || labels.length === 0) return new Map();
    const log = { page: z.array(labelEventSchema), keyOf: (event: LabelEvent) => event.id ?? JSON.stringify(event) };
    const events = await api.all({ path: '/issues/{number}/events', longestText: UNREAD_TEXT, ...ask, ...log });
    return settersOf(
      (events ?? []).flatMap(toLabelling),
      labels.map(({ name }) => name),
    );
  }

  async mayWrite({ id, login }: Account, signal?: AbortSignal): Promise<boolean> {
    if (id === null) return false;
    const { api, admins } = this.#tools;
    const asked = admins === null ? null : await permissionOf(admins, login, signal).catch(mayNotAsk);
    const found = asked === 'may not ask' || admins === null ? await permissionOf(api, login, signal) : asked;
    return found?.user?.id === id && WRITING.includes(found.permission);
  }

  self(signal?: AbortSignal): Promise<Account> {
    return this.#tools.own.account(signal);
  }

  async comment(issue: number, marker: string, body: string, signal?: AbortSignal): Promise<void> {
    await this.#talk.comment(issue, marker, body, signal);
  }

  /** Where issues are switched off all seem to be gone. */
  async #none(signal: Signal): Promise<null> {
    const found = await this.#tools.api.repository.look(repositorySchema, signal);
    if (found.has_issues === false) throw switchedOff(this.repo);
    return null;
  }

  /** What was moved to another repository is answered from there. */
  async #isOurs({ number: found, html_url: url }: IssueRow, number: number, signal: Signal): Promise<boolean> {
    const isAt = (repo: string) => new URL(url).pathname.toLowerCase() === `/${repo}/issues/${number}`.toLowerCase();
    if (found !== number || !URL.canParse(url)) return false;
    // Our repository itself may have been renamed.
    return isAt(this.repo) || isAt((await this.#tools.api.repository.look(repositorySchema, signal)).full_name);
  }
}

const isIssue = ({ pull_request: change }: IssueRow): boolean => !change;

function toIssue({ number, html_url: url, title, body, user, labels, state, updated_at: updatedAt }: IssueRow): Issue {
  return { number, url, title, body: body ?? '', author: accountOf(user), labels, state, updatedAt };
}

/** The log calls a label as it was called then, and knows no other mark of it. */
function toLabelling({ event, actor, label }: LabelEvent): readonly Labelling[] {
  if ((event !== 'labeled' && event !== 'unlabeled') || label === undefined || label === null) return [];
  return [{ label: label.name, name: label.name, isAdded: event === 'labeled', by: accountOf(actor) }];
}

function mayNotAsk(error: unknown): 'may not ask' {
  if (error instanceof StalledError) return 'may not ask';
  throw error;
}
