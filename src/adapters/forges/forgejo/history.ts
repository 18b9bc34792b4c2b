import type { Account, Change, ChangeHistory, Push } from '../../../domain/change.ts';
import type { Oid } from '../../../domain/ids.ts';
import { accountOf } from './accounts.ts';
import type { RepoApi } from './api.ts';
import { commits, pullOf } from './changes.ts';
import type { Dialect } from './dialect.ts';
import { type Move, MoveLog, type Moves, pusherIn } from './feed.ts';
import { timelineOf } from './timeline.ts';

type Signal = AbortSignal | undefined;

const MOST_FORKS = 32;

interface HistoryTools {
  readonly dialect: Dialect;
  /** `owner/name` of the ops repo. */
  readonly repo: string;
}

/** What the timeline of a change and the logs of the repositories concerned say of who pushed what. */
export class Histories {
  readonly #api: RepoApi;
  readonly #tools: HistoryTools;
  readonly #own: MoveLog;
  readonly #forks = new Map<string, MoveLog>();

  constructor(api: RepoApi, tools: HistoryTools) {
    this.#api = api;
    this.#tools = tools;
    this.#own = new MoveLog(api, tools.repo, false);
  }

  async of(change: Change, signal: Signal): Promise<ChangeHistory> {
    const { number, base, merge } = change;
    const [timeline, own, fork, brought] = await Promise.all([
      timelineOf(this.#api, this.#tools.dialect, change, signal),
      this.#ownMoves(signal),
      this.#forkMoves(change, signal),
      commits(this.#api, number, signal),
    ]);
    const life = lifeOf(change, fork === 'own' ? own : fork);
    const oids = new Set(brought.map(({ oid }) => oid));
    const logs = [own, ...(fork === 'own' || fork === null ? [] : [fork])];
    const elsewhere = logs.flatMap(({ moves }) => moves.filter((move) => isOfCommits(move, oids, change)));
    const isKnown = life.isWhole && timeline.isWhole;
    const pushes = [
      ...new Set([...life.pushes, ...elsewhere]),
      ...timeline.pushes,
      ...(isKnown ? [] : await this.#likely(change, fork !== 'own', signal)),
    ];
    return {
      pushes: pushes.map(({ by, at }) => ({ by, at })).toSorted((a, b) => Date.parse(a.at) - Date.parse(b.at)),
      landedBy: merge === null ? null : pusherIn(own.moves, merge.commit, base),
      scheduled: timeline.scheduled,
      retargetedAt: timeline.retargetedAt,
    };
  }

  async pusherOf(commit: Oid, branch: string, signal: Signal): Promise<Account | null> {
    return pusherIn((await this.#ownMoves(signal)).moves, commit, branch);
  }

  async #ownMoves(signal: Signal): Promise<Moves> {
    const found = await this.#own.read(signal);
    return await this.#api.repository.required(found, 'GET the log of activities', signal);
  }

  /** Whoever the fork belongs to could push there at any time up to the merge, and so could the opener. */
  async #likely(change: Change, isFork: boolean, signal: Signal): Promise<readonly Push[]> {
    const { number, author, source, merge, createdAt } = change;
    const pull = isFork && source !== null ? await pullOf(this.#api, number, signal) : null;
    const owner = pull?.head.repo?.owner;
    const likely = [author, ...(owner === undefined ? [] : [accountOf(owner)])];
    return likely.map((by) => ({ by, at: merge?.at ?? createdAt }));
  }

  /** null: it is gone, or we may not look into it. */
  async #forkMoves({ source }: Change, signal: Signal): Promise<Moves | null | 'own'> {
    if (source === null) return null;
    const isOwn = source.repo.toLowerCase() === this.#tools.repo.toLowerCase();
    return isOwn ? 'own' : await this.#fork(source.repo).read(signal);
  }

  #fork(repo: string): MoveLog {
    const known = this.#forks.get(repo) ?? new MoveLog(this.#api, repo, true);
    this.#forks.delete(repo);
    this.#forks.set(repo, known);
    const [oldest] = this.#forks.keys();
    if (this.#forks.size > MOST_FORKS && oldest !== undefined) this.#forks.delete(oldest);
    return known;
  }
}

interface Life {
  readonly pushes: readonly Move[];
  /** The log goes back to when the branch was made. */
  readonly isWhole: boolean;
}

/**
 * What happened to the branch of a change: its name may have been used before, and again after it was merged and
 * deleted. Dates of commits bound nothing, since whoever makes a commit chooses them.
 */
function lifeOf({ source, createdAt, merge }: Change, log: Moves | null): Life {
  if (source === null || log === null) return { pushes: [], isWhole: false };
  const [opened, merged] = [Date.parse(createdAt), merge === null ? Infinity : Date.parse(merge.at)];
  const moves = log.moves.filter(({ ref }) => ref === `refs/heads/${source.branch}`);
  const isEnd = ({ kind, at }: Move): boolean => kind === 'deleted' && Date.parse(at) >= merged;
  const isBefore = ({ kind, at }: Move): boolean => kind === 'deleted' && Date.parse(at) < opened;
  const older = moves.slice(moves.findLastIndex(isEnd) + 1);
  const from = older.findIndex(isBefore);
  const life = older.slice(0, from === -1 ? older.length : from);
  const isWhole = log.isWhole || from !== -1 || life.some(({ kind }) => kind === 'made');
  return { pushes: life.filter(({ kind }) => kind !== 'deleted'), isWhole };
}

/** Pushed anywhere before it was merged; the push of the merge itself brings the same commits. */
function isOfCommits({ ref, at, commits: named }: Move, brought: ReadonlySet<string>, change: Change): boolean {
  const { base, merge } = change;
  if (named === null || ![...named].some((commit) => brought.has(commit))) return false;
  if (merge === null) return true;
  const isLanding = ref === `refs/heads/${base}` && named.has(merge.commit);
  return !isLanding && Date.parse(at) < Date.parse(merge.at);
}
