import { type ActionId, isActionId, type Oid, type RunId, sidecarNameOf } from '../domain/ids.ts';
import type { Journal, JournalView } from '../ports/journal.ts';
import type { FirstParentChange, OpsRepo, Tips, TreeChange, TreeEntry } from '../ports/ops-repo.ts';
import { type Arrivals, createArrivals } from './arrivals.ts';
import { type ActionFile, type Catalogue, createCatalogue, recordedId } from './catalogue.ts';
import type { InForce, InForceWalk } from './in-force.ts';

/** An action without a result, with the commit that set its present bytes. */
export interface Candidate {
  readonly id: RunId;
  /** Of a sidecar, which no file asked for, its project file. */
  readonly file: Pick<ActionFile, 'path' | 'entry'>;
  /** Newest first-parent commit that changed the path; its committer date. */
  readonly commit: Oid;
  readonly committedAt: string;
  /** Other files of the same id, which came later: reported, never run. */
  readonly duplicates: readonly string[];
}

/** A cancel request at the tip, with the commit that set its present bytes. */
export interface CancelFile {
  readonly id: ActionId;
  readonly path: string;
  readonly entry: TreeEntry;
  /** Newest first-parent commit that changed the path; its committer date. */
  readonly commit: Oid;
  readonly committedAt: string;
}

/** Everything that is known of the outside at one moment. Replaced as a whole by the next look. */
export interface World {
  readonly tips: Tips;
  readonly catalogue: Catalogue;
  readonly inForce: InForce;
  readonly journal: JournalView;
  readonly candidates: ReadonlyMap<string, Candidate>;
  /** Cancel requests of what is pending or live, by their paths; what has ended has none any more. */
  readonly cancels: ReadonlyMap<string, CancelFile>;
  /** A commit of the branch once held a result of this id. */
  everRecorded(id: string): boolean;
  /** Every `n` of a sidecar's runs of which a commit of the branch ever held a result. */
  sidecarRuns(formula: string, issue: number): ReadonlySet<number>;
  /** The branch itself asks for a pause (`vault/PAUSE`). */
  readonly pausedByBranch: boolean;
}

export interface WorldDeps {
  readonly opsRepo: OpsRepo;
  readonly journal: Journal;
  readonly inForce: InForceWalk;
  readonly paths: { readonly actionsDir: string; readonly sidecarsDir: string; readonly pauseFile: string };
}

export interface Watcher {
  /**
   * Asks git for what is new and answers the world as it is now. Safe to repeat; an error leaves the last world as it
   * was. When nothing has changed the very same world is answered. Errors: TransientError, StalledError of the ops repo.
   */
  look(signal?: AbortSignal): Promise<World>;
}

interface Setter {
  readonly blob: Oid;
  readonly commit: Oid;
  readonly committedAt: string;
}

export function createWatcher(deps: WorldDeps): Watcher {
  return new GitWatcher(deps);
}

/** Keeps what was seen between two looks, so that a look costs what changed. */
class GitWatcher implements Watcher {
  readonly #deps: WorldDeps;
  readonly #catalogue: Catalogue;
  readonly #setters = new Map<string, Setter>();
  readonly #arrivals: Arrivals;
  readonly #recorded = new Set<string>();
  /** By formula and issue, each `n` of #recorded. */
  readonly #sidecarRuns = new Map<string, Set<number>>();
  #seen: Oid | null = null;
  #last: World | null = null;

  constructor(deps: WorldDeps) {
    this.#deps = deps;
    this.#catalogue = createCatalogue(deps.paths.sidecarsDir);
    this.#arrivals = createArrivals(deps.opsRepo);
  }

  async look(signal?: AbortSignal): Promise<World> {
    const { opsRepo, journal, paths } = this.#deps;
    // The journal first: results land before tombstones, so that what has ended is never seen as never begun.
    const view = await journal.refresh(signal);
    const tips = await opsRepo.refresh(signal);
    await this.#catchUp(tips.tip);
    const inForce = await this.#deps.inForce.at(tips.tip, signal);
    if (this.#last !== null && same(this.#last, { tips, view, inForce })) return this.#last;
    const files = this.#catalogue.pending();
    const ordered = await this.#arrivals.inOrder(files, tips.tip);
    const wishes = wishesOf(this.#catalogue, files, view);
    await this.#findSetters(tips.tip, [...files, ...wishes]);
    const pause = await opsRepo.entryAt(tips.tip, paths.pauseFile);
    this.#last = {
      tips,
      catalogue: this.#catalogue,
      inForce,
      journal: view,
      candidates: candidatesOf(ordered, this.#setters),
      cancels: cancelsOf(wishes, this.#setters),
      everRecorded: (id) => this.#recorded.has(id),
      sidecarRuns: (formula, issue) => this.#sidecarRuns.get(runsKey(formula, issue)) ?? NO_RUNS,
      pausedByBranch: pause !== null,
    };
    return this.#last;
  }

  async #catchUp(tip: Oid): Promise<void> {
    const seen = this.#seen;
    if (seen === tip) return;
    const { opsRepo, paths } = this.#deps;
    const folders = [paths.actionsDir, paths.sidecarsDir];
    const from = seen !== null && (await opsRepo.isAncestor(seen, tip)) ? seen : null;
    const added = await opsRepo.everAdded(from, tip, folders, '.result.json');
    // Last of all: when a read fails half-way, the next look begins again at the tip that was seen before. After a
    // rewritten history the old tip may be gone from a new clone, so then everything is listed.
    if (from === null) this.#begin(await opsRepo.list(tip, folders));
    else {
      const line = await opsRepo.firstParentChanges(from, tip, [paths.actionsDir]);
      this.#follow(await opsRepo.changes(from, tip, folders), line);
    }
    for (const path of added) this.#remember(recordedId(path, paths.sidecarsDir));
    this.#seen = tip;
  }

  #remember(id: string): void {
    this.#recorded.add(id);
    const name = sidecarNameOf(id);
    if (name === null) return;
    const key = runsKey(name.formula, name.issue);
    this.#sidecarRuns.set(key, (this.#sidecarRuns.get(key) ?? new Set()).add(name.n));
  }

  #begin(entries: readonly TreeEntry[]): void {
    this.#setters.clear();
    this.#arrivals.clear();
    this.#catalogue.load(entries);
  }

  #follow(changes: readonly TreeChange[], line: readonly FirstParentChange[]): void {
    // Bytes that went away and came back are a new change: whoever touched a path last counts.
    for (const { commit, committedAt, changes: touched } of line) {
      for (const { path, after } of touched) {
        if (after === null) this.#setters.delete(path);
        else this.#setters.set(path, { blob: after.oid, commit, committedAt });
      }
    }
    this.#arrivals.follow(changes, line);
    this.#catalogue.apply(changes);
  }

  /** Who set the bytes of each of these files; asked only for those whose bytes are new to us. */
  async #findSetters(tip: Oid, files: readonly Pick<ActionFile, 'path' | 'entry'>[]): Promise<void> {
    const unknown = files.filter((file) => this.#setters.get(file.path)?.blob !== file.entry.oid);
    if (unknown.length > 0) {
      const found = await this.#deps.opsRepo.lastChanged(
        tip,
        unknown.map((file) => file.path),
      );
      for (const file of unknown) {
        const at = found.get(file.path);
        if (at !== undefined) this.#setters.set(file.path, { blob: file.entry.oid, ...at });
      }
    }
    const pending = new Set(files.map((file) => file.path));
    for (const path of this.#setters.keys()) if (!pending.has(path)) this.#setters.delete(path);
  }
}

const NO_RUNS: ReadonlySet<number> = new Set();
const runsKey = (formula: string, issue: number) => `${formula} ${issue}`;

function same(last: World, now: { tips: Tips; view: JournalView; inForce: InForce }): boolean {
  const { tips, view, inForce } = now;
  return (
    last.tips.tip === tips.tip &&
    last.tips.descends === tips.descends &&
    last.journal === view &&
    last.inForce === inForce
  );
}

/** One candidate an id: the file that came first. */
function candidatesOf(
  ordered: readonly (readonly ActionFile[])[],
  setters: ReadonlyMap<string, Setter>,
): ReadonlyMap<string, Candidate> {
  const candidates = new Map<string, Candidate>();
  for (const files of ordered) {
    const [file, ...others] = files.filter(({ path }) => setters.has(path));
    const setter = setters.get(file?.path ?? '');
    if (file === undefined || setter === undefined) continue;
    const { commit, committedAt } = setter;
    const duplicates = others.map(({ path }) => path);
    candidates.set(file.id, { id: file.id, file, commit, committedAt, duplicates });
  }
  return candidates;
}

type Wish = Pick<CancelFile, 'id' | 'path' | 'entry'>;

/** An attempt that is live may have lost its action's file, and is to be stopped all the same. */
function wishesOf(catalogue: Catalogue, files: readonly ActionFile[], journal: JournalView): readonly Wish[] {
  const live = [...journal.entries.keys()].filter(isActionId);
  const ids = new Set([...files.map(({ id }) => id), ...live]);
  return [...ids].flatMap((id) => catalogue.cancels(id).map((entry) => ({ id, path: entry.path, entry })));
}

function cancelsOf(wishes: readonly Wish[], setters: ReadonlyMap<string, Setter>): ReadonlyMap<string, CancelFile> {
  return new Map(
    wishes.flatMap((wish) => {
      const setter = setters.get(wish.path);
      if (setter === undefined) return [];
      const { commit, committedAt } = setter;
      return [[wish.path, { ...wish, commit, committedAt }] as const];
    }),
  );
}
