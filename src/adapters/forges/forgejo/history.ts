import type { Account, Change, ChangeHistory, Push } from '../../../domain/change.ts';
import type { Oid } from '../../../domain/ids.ts';
import { accountOf } from './accounts.ts';
import type { RepoApi } from './api.ts';
import { pullOf, rawCommits } from './changes.ts';
import type { Dialect } from './dialect.ts';
import { type LoggedPush, PushLog, pusherIn } from './feed.ts';
import { eventSchema, listOf } from './schemas.ts';

type Signal = AbortSignal | undefined;

interface Event extends Push {
  readonly type: string;
}

const DAY_MS = 86_400_000;
const MOST_FORKS = 32;
const TIMELINE = '/issues/{number}/timeline';
/** Events that let a change merge by itself, and take that back. */
const SCHEDULED = 'pull_scheduled_merge';
const UNSCHEDULED = 'pull_cancel_scheduled_merge';

interface HistoryTools {
  readonly dialect: Dialect;
  /** `owner/name` of the ops repo. */
  readonly repo: string;
}

/** What the timeline of a change and the logs of the repositories concerned say of who pushed what. */
export class Histories {
  readonly #api: RepoApi;
  readonly #tools: HistoryTools;
  readonly #own: PushLog;
  readonly #forks = new Map<string, PushLog>();

  constructor(api: RepoApi, tools: HistoryTools) {
    this.#api = api;
    this.#tools = tools;
    this.#own = new PushLog(api.client, tools.repo, false);
  }

  async of(change: Change, signal: Signal): Promise<ChangeHistory> {
    const { number, base, merge } = change;
    const [events, branchPushes, own] = await Promise.all([
      this.#events(number, signal),
      this.#branchPushes(change, signal),
      merge === null ? [] : this.#ownPushes(signal),
    ]);
    const told = events.filter(({ type }) => type === 'pull_push').map(({ by, at }): Push => ({ by, at }));
    const lastWord = events.findLast(({ type }) => type === SCHEDULED || type === UNSCHEDULED);
    return {
      pushes: [...branchPushes, ...told].toSorted((a, b) => Date.parse(a.at) - Date.parse(b.at)),
      landedBy: merge === null ? null : pusherIn(own, merge.commit, base),
      scheduled: lastWord?.type === SCHEDULED,
    };
  }

  async pusherOf(commit: Oid, branch: string, signal: Signal): Promise<Account | null> {
    return pusherIn(await this.#ownPushes(signal), commit, branch);
  }

  /** Oldest first. */
  async #events(number: number, signal: Signal): Promise<readonly Event[]> {
    const call = { path: TIMELINE, values: { number }, signal };
    const found = this.#tools.dialect.wholeTimeline
      ? await this.#api.get(call, listOf(eventSchema))
      : await this.#api.all({ ...call, item: eventSchema, keyOf: ({ id }) => id, untilEmpty: true });
    const rows = await this.#api.repository.required(found, `GET ${TIMELINE}`, signal);
    return rows
      .toSorted((a, b) => a.id - b.id)
      .map(({ type, user, created_at: at }) => ({ type, by: accountOf(user), at }));
  }

  async #ownPushes(signal: Signal): Promise<readonly LoggedPush[]> {
    const found = await this.#own.pushes(signal);
    return await this.#api.repository.required(found, 'GET the log of activities', signal);
  }

  /** Also those before the change was opened: its timeline begins with whoever opened it. */
  async #branchPushes(change: Change, signal: Signal): Promise<readonly Push[]> {
    const { source, author, createdAt, number } = change;
    if (source === null) return [{ by: author, at: createdAt }];
    const isOwn = source.repo.toLowerCase() === this.#tools.repo.toLowerCase();
    const [log, since] = await Promise.all([
      isOwn ? this.#ownPushes(signal) : this.#fork(source.repo).pushes(signal),
      this.#since(change, signal),
    ]);
    if (log === null) {
      // A fork that we may not look into: whoever it belongs to could push there, and so could the opener.
      const owner = (await pullOf(this.#api, number, signal))?.head.repo?.owner;
      const likely = [author, ...(owner === undefined ? [] : [accountOf(owner)])];
      return likely.map((by) => ({ by, at: createdAt }));
    }
    const ref = `refs/heads/${source.branch}`;
    const pushes = log.filter((push) => push.ref === ref && Date.parse(push.at) >= since);
    return pushes.map(({ by, at }) => ({ by, at }));
  }

  /** A day before its oldest commit was made, in ms since 1970: the name of a branch may have been used before. */
  async #since({ number, createdAt }: Change, signal: Signal): Promise<number> {
    const rows = await rawCommits(this.#api, number, signal);
    const made = rows.map(({ commit }) => Date.parse(commit.committer.date ?? createdAt));
    return Math.min(Date.parse(createdAt), ...made.filter((time) => !Number.isNaN(time))) - DAY_MS;
  }

  #fork(repo: string): PushLog {
    const known = this.#forks.get(repo) ?? new PushLog(this.#api.client, repo, true);
    this.#forks.delete(repo);
    this.#forks.set(repo, known);
    const [oldest] = this.#forks.keys();
    if (this.#forks.size > MOST_FORKS && oldest !== undefined) this.#forks.delete(oldest);
    return known;
  }
}
