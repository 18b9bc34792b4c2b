import type { Account } from '../../../domain/change.ts';
import { Lanes } from '../../lanes.ts';
import { failure } from '../shared/answers.ts';
import type { Call } from '../shared/client.ts';
import { accountOf } from './accounts.ts';
import type { RepoApi } from './api.ts';
import { readPage } from './pages.ts';
import { type Activity, activitySchema, listOf, pushSchema } from './schemas.ts';

/** One move of a branch, by the log of activities of a repository. */
export interface Move {
  readonly id: number;
  readonly kind: 'made' | 'pushed' | 'deleted';
  readonly by: Account;
  /** ISO 8601, to the second. */
  readonly at: string;
  /** `refs/heads/main` */
  readonly ref: string;
  /** The tip afterwards and at most five of what came with it; null: the log's own text about it is too long to read. */
  readonly commits: ReadonlySet<string> | null;
}

export interface Moves {
  /** Newest first. */
  readonly moves: readonly Move[];
  /** The log goes back to when the repository was made, so that nothing is missing. */
  readonly isWhole: boolean;
}

interface Entry {
  readonly id: number;
  readonly isBirth: boolean;
  readonly move: Move | null;
}

const PATH = '/repos/{owner}/{repo}/activities/feeds';
const MOST_ENTRIES = 500;

/**
 * The newest moves of the branches of one repository: the last five hundred entries of its log, kept, so that as a rule
 * only its first page is asked again. A log that may not be read is null, unless it is said to be ours.
 */
export class MoveLog {
  readonly #api: RepoApi;
  readonly #call: Call;
  readonly #turns = new Lanes(1);
  #entries: readonly Entry[] = [];
  #known: Moves = { moves: [], isWhole: false };
  /** Counts calls and readings, to tell which came first. */
  #count = 0;
  #lastReading = 0;

  /** `isForeign`: of a fork, which may be hidden from us. */
  constructor(api: RepoApi, repo: string, isForeign: boolean) {
    const [owner = '', name = ''] = repo.split('/');
    this.#api = api;
    const values = { owner, repo: name };
    this.#call = isForeign ? { path: PATH, values, absent: [403, 404] } : { path: PATH, values };
  }

  /** As of this call or later. Errors of ForgeClient. */
  read(signal: AbortSignal | undefined): Promise<Moves | null> {
    this.#count += 1;
    const asked = this.#count;
    return this.#turns.run(async () => {
      // Begun by somebody else while we waited for our turn.
      if (this.#lastReading > asked) return this.#known;
      this.#count += 1;
      const reading = this.#count;
      const entries = await this.#readEntries(signal);
      if (entries === null) return null;
      const moves = entries.flatMap(({ move }) => (move === null ? [] : [move]));
      this.#entries = entries;
      this.#known = {
        moves: moves.toSorted((a, b) => Date.parse(b.at) - Date.parse(a.at) || b.id - a.id),
        isWhole: entries.some(({ isBirth }) => isBirth),
      };
      this.#lastReading = reading;
      return this.#known;
    }, signal);
  }

  /** Newest first. */
  async #readEntries(signal: AbortSignal | undefined): Promise<readonly Entry[] | null> {
    const size = await this.#api.pageSize.now(signal);
    const known = new Map(this.#entries.map((entry) => [entry.id, entry]));
    const found = new Map<number, Entry>();
    for (let page = 1; page * size < MOST_ENTRIES + size; page += 1) {
      const answer = await readPage({ ...this.#call, signal }, { page, size }, (call) =>
        this.#api.client.get(call, ENTRIES),
      );
      if (answer === null) return null;
      for (const entry of answer.items) found.set(entry.id, toEntry(entry));
      const last = answer.items.at(-1);
      if (last === undefined || found.size >= (answer.total ?? Infinity)) break;
      // What is older than a known entry is known as well; positions only ever move backwards.
      if (known.has(last.id)) {
        for (const [id, entry] of known) if (!found.has(id)) found.set(id, entry);
        break;
      }
    }
    return [...found.values()].slice(0, MOST_ENTRIES);
  }
}

const ENTRIES = listOf(activitySchema);

/** Nothing else is kept of an entry, since anybody can write long ones. */
function toEntry(activity: Activity): Entry {
  const { id, op_type } = activity;
  return { id, isBirth: op_type === 'create_repo', move: toMove(activity) };
}

function toMove({ id, op_type, act_user, ref_name: ref, content, created: at }: Activity): Move | null {
  if (op_type !== 'commit_repo' && op_type !== 'delete_branch') return null;
  // A comment may lack this; who pushed must never be passed over.
  if (ref === undefined || at === undefined || content === undefined) throw failure('unreadable', `GET ${PATH}`);
  const told = { id, by: accountOf(act_user), at, ref };
  if (op_type === 'delete_branch') return { ...told, kind: 'deleted', commits: new Set() };
  return { ...told, kind: content === '' ? 'made' : 'pushed', commits: content === null ? null : commitsIn(content) };
}

/** A text that is no JSON names no commits. */
function commitsIn(content: string): ReadonlySet<string> {
  try {
    const { Commits, HeadCommit } = pushSchema.parse(JSON.parse(content));
    const all = [...(Commits ?? []), ...(HeadCommit ? [HeadCommit] : [])];
    return new Set(all.map(({ Sha1 }) => Sha1));
  } catch {
    return new Set();
  }
}

/**
 * Who brought the commit to this ref first: an admin's later push of the same commit proves nothing. null where that is
 * not known, also where an earlier push may have been of this commit.
 */
export function pusherIn(moves: readonly Move[], commit: string, branch: string): Account | null {
  const ref = `refs/heads/${branch}`;
  const first = moves.findLast((move) => move.ref === ref && (move.commits === null || move.commits.has(commit)));
  return first === undefined || first.commits === null ? null : first.by;
}
