import type { Oid } from '../domain/ids.ts';
import { printable } from '../domain/text.ts';
import { InvalidError } from '../errors.ts';
import type { AllowedSigner, CommitInfo, OpsRepo, SignatureVerdict, TreeEntry } from '../ports/ops-repo.ts';

/**
 * Is this result ours? Results are evidence too: whoever may push could write one. With keys, a result counts where the
 * newest first-parent commit that changed its path is signed by one of them, or where the same bytes lie at the same path
 * of the commit that the operator trusts. Of a merge the commits on its merged side that introduced the bytes count.
 */
export interface OwnResults {
  /** False: no key is configured, and every result counts. */
  readonly areSigned: boolean;
  /**
   * Of each of these entries of the tree of `tip`, by its path, whose it is. What was found out of a commit is kept.
   * Errors: TransientError and StalledError of the ops repo, which say nothing of any result; the signal's reason.
   */
  judge(tip: Oid, entries: readonly TreeEntry[], signal?: AbortSignal): Promise<ReadonlyMap<string, Whose>>;
  /**
   * The same of all results at `tip` whose path was touched since the last call that answered; at first, and after the
   * branch was rewritten, of all there are. For one caller at a time.
   */
  judgeNews(tip: Oid, signal?: AbortSignal): Promise<ReadonlyMap<string, Whose>>;
  /** `tell` hears of each foreign result once for each commit that set it, by whatever question it was found. */
  onForeign(tell: (foreign: ForeignResult) => void): void;
}

/** `fingerprint` of the key that signed it; null: the operator vouches for it, or nobody has to. */
export type Whose = { readonly kind: 'own'; readonly fingerprint: string | null } | ForeignResult;

export interface ForeignResult {
  readonly kind: 'foreign';
  readonly path: string;
  readonly blob: Oid;
  /** The newest first-parent commit that changed the path; null: git names none for what is written there. */
  readonly commit: Oid | null;
  /** What that commit claims, fit for a terminal; null where it can't be read. */
  readonly author: string | null;
  readonly committedAt: string | null;
  readonly isMerge: boolean;
  readonly signature: Exclude<SignatureVerdict['kind'], 'good'>;
  /** Of the unknown key, where git can tell it. */
  readonly fingerprint: string | null;
}

export interface OwnResultsDeps {
  readonly opsRepo: OpsRepo;
  /** Whose signature makes a result ours; none: nothing is asked. */
  readonly keys: readonly AllowedSigner[];
  readonly trustedCommit: Oid | null;
  /** Where results lie. */
  readonly folders: readonly string[];
  /** Signatures that are checked at the same time; default 2, for each is three processes. */
  readonly parallel?: number;
}

export const isResultPath = (path: string): boolean => path.endsWith('.result.json');

export function createOwnResults(deps: OwnResultsDeps): OwnResults {
  return deps.keys.length === 0 ? everyResultCounts : new SignedResults(deps);
}

const COUNTS: Whose = { kind: 'own', fingerprint: null };
const everyResultCounts: OwnResults = {
  areSigned: false,
  judge: (_tip, entries) => Promise.resolve(new Map(entries.map(({ path }) => [path, COUNTS]))),
  judgeNews: () => Promise.resolve(new Map()),
  onForeign: () => undefined,
};

interface Setter {
  readonly commit: Oid;
  readonly committedAt: string;
}

/** What is true of a commit for good. */
interface Judged {
  readonly verdict: SignatureVerdict;
  readonly info: CommitInfo | null;
}

class SignedResults implements OwnResults {
  readonly areSigned = true;
  readonly #deps: OwnResultsDeps;
  readonly #commits = new Map<Oid, Promise<Judged>>();
  readonly #told = new Set<string>();
  readonly #listeners: ((foreign: ForeignResult) => void)[] = [];
  #vouched: Promise<ReadonlyMap<string, Oid>> | undefined;
  /** Of the paths that were asked about or touched, as of `#tip`. */
  #setters = new Map<string, Setter>();
  /** null: all of them. */
  #touched: Map<string, TreeEntry | null> | null = null;
  #tip: Oid | null = null;
  #turns: Promise<unknown> = Promise.resolve();

  constructor(deps: OwnResultsDeps) {
    this.#deps = deps;
  }

  async judge(tip: Oid, entries: readonly TreeEntry[], signal?: AbortSignal): Promise<ReadonlyMap<string, Whose>> {
    const found = new Map<string, Whose>();
    if (entries.length === 0) return found;
    const setters = await this.#settersOf(tip, entries);
    const open = entries.values();
    const work = async (): Promise<void> => {
      for (const entry of open) {
        signal?.throwIfAborted();
        found.set(entry.path, await this.#one(entry, setters.get(entry.path)));
      }
    };
    await Promise.all(Array.from({ length: this.#deps.parallel ?? 2 }, work));
    return found;
  }

  async judgeNews(tip: Oid, signal?: AbortSignal): Promise<ReadonlyMap<string, Whose>> {
    const { opsRepo, folders } = this.#deps;
    const { newest, touched, entries } = await this.#exclusively(async () => {
      const at = (await this.#advance(tip)) ? tip : (this.#tip ?? tip);
      const before = this.#touched;
      const all = before === null ? await opsRepo.list(at, folders) : [...before.values()];
      this.#touched = new Map();
      const there = all.filter((entry) => entry !== null);
      return { newest: at, touched: before, entries: there.filter(({ path }) => isResultPath(path)) };
    });
    try {
      return await this.judge(newest, entries, signal);
    } catch (error) {
      const since = this.#touched;
      this.#touched = touched === null || since === null ? null : new Map([...touched, ...since]);
      throw error;
    }
  }

  onForeign(tell: (foreign: ForeignResult) => void): void {
    this.#listeners.push(tell);
  }

  async #one(entry: TreeEntry, setter: Setter | undefined): Promise<Whose> {
    const { path, oid: blob } = entry;
    const judged = setter === undefined ? NOBODY : await this.#commit(setter.commit);
    const { verdict, info } = judged;
    if (verdict.kind === 'good') return { kind: 'own', fingerprint: verdict.fingerprint };
    if ((await this.#vouchedFor()).get(path) === blob) return COUNTS;
    const merged = await this.#mergedIn(entry, info);
    if (merged !== null) return merged;
    const foreign: ForeignResult = {
      kind: 'foreign',
      path,
      blob,
      commit: setter?.commit ?? null,
      author: info === null ? null : printable(info.author.name),
      committedAt: setter?.committedAt ?? null,
      isMerge: isMerge(info),
      signature: verdict.kind,
      fingerprint: verdict.kind === 'unknown-key' ? verdict.fingerprint : null,
    };
    this.#tell(foreign);
    return foreign;
  }

  /**
   * A branch that was merged the wrong way round (`git pull`, then push) has our own commits on its merged side: there they
   * are still ours, if they are of this repo and each of those that introduced the bytes is signed.
   */
  async #mergedIn({ path, oid: blob }: TreeEntry, setter: CommitInfo | null): Promise<Whose | null> {
    if (setter === null || !isMerge(setter)) return null;
    const { opsRepo } = this.#deps;
    const introducers = await opsRepo.introducers(setter.oid, path, blob);
    const root = await opsRepo.root(setter.oid);
    const verdicts = await Promise.all(
      introducers.map(async (commit) => {
        const isHere = await opsRepo.isAncestor(root, commit);
        return isHere ? (await this.#commit(commit)).verdict : null;
      }),
    );
    const [first] = verdicts;
    if (first?.kind !== 'good' || verdicts.some((verdict) => verdict?.kind !== 'good')) return null;
    return { kind: 'own', fingerprint: first.fingerprint };
  }

  #tell(foreign: ForeignResult): void {
    const key = `${foreign.commit ?? foreign.blob} ${foreign.path}`;
    if (this.#told.has(key) || this.#listeners.length === 0) return;
    this.#told.add(key);
    for (const tell of this.#listeners) tell(foreign);
  }

  #commit(commit: Oid): Promise<Judged> {
    const known = this.#commits.get(commit);
    if (known !== undefined) return known;
    const answer = this.#ask(commit);
    this.#commits.set(commit, answer);
    // An outage is no answer.
    answer.catch(() => this.#commits.delete(commit));
    return answer;
  }

  async #ask(commit: Oid): Promise<Judged> {
    const { opsRepo, keys } = this.#deps;
    try {
      const verdict = await opsRepo.verifySignature(commit, keys);
      return { verdict, info: verdict.kind === 'good' ? null : await opsRepo.commit(commit) };
    } catch (error) {
      // A commit too large to be read is none of ours, and not the fault of the file.
      if (error instanceof InvalidError) return NOBODY;
      throw error;
    }
  }

  /** What lies at which path of the trusted commit. */
  #vouchedFor(): Promise<ReadonlyMap<string, Oid>> {
    const { opsRepo, trustedCommit, folders } = this.#deps;
    if (trustedCommit === null) return NOTHING;
    if (this.#vouched === undefined) {
      this.#vouched = opsRepo
        .list(trustedCommit, folders)
        .then((entries) => new Map(entries.map(({ path, oid }) => [path, oid])));
      this.#vouched.catch(() => {
        this.#vouched = undefined;
      });
    }
    return this.#vouched;
  }

  async #settersOf(tip: Oid, entries: readonly TreeEntry[]): Promise<ReadonlyMap<string, Setter>> {
    const { opsRepo } = this.#deps;
    const isNewest = await this.#exclusively(() => this.#advance(tip));
    const setters = this.#setters;
    const known = new Map<string, Setter>();
    const unknown: string[] = [];
    for (const { path } of entries) {
      const setter = isNewest ? setters.get(path) : undefined;
      if (setter === undefined) unknown.push(path);
      else known.set(path, setter);
    }
    if (unknown.length === 0) return known;
    // Of a long history this takes long, and nobody else has to wait for it.
    for (const [path, setter] of await opsRepo.lastChanged(tip, unknown)) {
      known.set(path, setter);
      // What was touched meanwhile is newer.
      if (isNewest && !setters.has(path)) setters.set(path, setter);
    }
    return known;
  }

  /**
   * Takes in who touched which result since the last tip; one after the other. False: `tip` is an older one, of a look
   * that another question has overtaken, and all stays as it is.
   */
  async #advance(tip: Oid): Promise<boolean> {
    const last = this.#tip;
    if (last === tip) return true;
    const { opsRepo, folders } = this.#deps;
    if (last !== null && (await opsRepo.isAncestor(last, tip))) {
      for (const { commit, committedAt, changes } of await opsRepo.firstParentChanges(last, tip, folders)) {
        for (const { path, after } of changes.filter((change) => isResultPath(change.path))) {
          this.#setters.set(path, { commit, committedAt });
          this.#touched?.set(path, after);
        }
      }
    } else if (last !== null && (await opsRepo.isAncestor(tip, last))) {
      return false;
    } else {
      this.#setters = new Map();
      this.#touched = null;
    }
    this.#tip = tip;
    return true;
  }

  #exclusively<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#turns.then(work);
    this.#turns = turn.catch(() => undefined);
    return turn;
  }
}

function isMerge(commit: CommitInfo | null): boolean {
  return commit !== null && commit.parents.length > 1;
}

const NOBODY: Judged = { verdict: { kind: 'bad' }, info: null };
const NOTHING: Promise<ReadonlyMap<string, Oid>> = Promise.resolve(new Map());
