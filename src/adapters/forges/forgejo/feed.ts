import type { Account } from '../../../domain/change.ts';
import { Lanes } from '../../lanes.ts';
import type { Call, ForgeClient } from '../shared/client.ts';
import { totalOf } from '../shared/paging.ts';
import { accountOf } from './accounts.ts';
import { type Activity, activitySchema, listOf, pushSchema } from './schemas.ts';

/** One push, by the log of activities of a repository. */
export interface LoggedPush {
  readonly by: Account;
  /** ISO 8601, to the second. */
  readonly at: string;
  /** `refs/heads/main` */
  readonly ref: string;
  /** The tip afterwards and at most five of what came with it. Empty for the making of a branch. */
  readonly commits: ReadonlySet<string>;
}

const PATH = '/repos/{owner}/{repo}/activities/feeds';
const PAGES = 10;
const PAGE = 50;

/**
 * The newest pushes of one repository: the last ten pages of its log, kept, so that as a rule only its first page is
 * asked again. A log that may not be read is null, unless it is said to be ours.
 */
export class PushLog {
  readonly #client: ForgeClient;
  readonly #call: Call;
  readonly #turns = new Lanes(1);
  #entries: readonly Activity[] = [];
  #pushes: readonly LoggedPush[] = [];
  /** Counts calls and readings, to tell which came first. */
  #count = 0;
  #lastReading = 0;

  /** `isForeign`: of a fork, which may be hidden from us. */
  constructor(client: ForgeClient, repo: string, isForeign: boolean) {
    const [owner = '', name = ''] = repo.split('/');
    this.#client = client;
    const values = { owner, repo: name };
    this.#call = isForeign ? { path: PATH, values, absent: [403, 404] } : { path: PATH, values };
  }

  /** Newest first, as of this call or later. Errors of ForgeClient. */
  pushes(signal: AbortSignal | undefined): Promise<readonly LoggedPush[] | null> {
    this.#count += 1;
    const asked = this.#count;
    return this.#turns.run(async () => {
      // Begun by somebody else while we waited for our turn.
      if (this.#lastReading > asked) return this.#pushes;
      this.#count += 1;
      const reading = this.#count;
      const entries = await this.#read(signal);
      if (entries === null) return null;
      this.#entries = entries;
      this.#pushes = entries.flatMap(toPush);
      this.#lastReading = reading;
      return this.#pushes;
    }, signal);
  }

  async #read(signal: AbortSignal | undefined): Promise<readonly Activity[] | null> {
    const known = new Map(this.#entries.map((entry) => [entry.id, entry]));
    const found = new Map<number, Activity>();
    for (let page = 1; page <= PAGES; page += 1) {
      const call = { ...this.#call, query: { page, limit: PAGE }, signal };
      const answer = await this.#client.get(call, listOf(activitySchema));
      if (answer === null) return null;
      for (const entry of answer.value) found.set(entry.id, entry);
      const last = answer.value.at(-1);
      if (last === undefined || found.size >= (totalOf(answer.headers) ?? Infinity)) break;
      // What is older than a known entry is known as well; positions only ever move backwards.
      if (known.has(last.id)) {
        for (const [id, entry] of known) found.set(id, entry);
        break;
      }
    }
    const newestFirst = [...found.values()].toSorted(
      (a, b) => Date.parse(b.created) - Date.parse(a.created) || b.id - a.id,
    );
    return newestFirst.slice(0, PAGES * PAGE);
  }
}

function toPush({ op_type, act_user, ref_name: ref, content, created: at }: Activity): readonly LoggedPush[] {
  if (op_type !== 'commit_repo') return [];
  return [{ by: accountOf(act_user), at, ref, commits: commitsIn(content) }];
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

/** Who brought the commit to this ref first: an admin's later push of the same commit proves nothing. */
export function pusherIn(pushes: readonly LoggedPush[], commit: string, branch: string): Account | null {
  const ref = `refs/heads/${branch}`;
  return pushes.findLast((push) => push.ref === ref && push.commits.has(commit))?.by ?? null;
}
