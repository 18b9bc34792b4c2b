import { cancelledId, isCancelPath } from '../domain/cancel.ts';
import { type ActionId, isActionId, isSidecarId, sidecarNameOf } from '../domain/ids.ts';
import type { TreeChange, TreeEntry } from '../ports/ops-repo.ts';

/** An action file at the tip. Several of one id are possible (sub-folders); only the first committed one may run. */
export interface ActionFile {
  readonly id: ActionId;
  readonly path: string;
  readonly entry: TreeEntry;
}

/**
 * What lies in the folders of actions and of sidecars' results at the tip: one listing at first, then only what changed between two tips, so that the
 * cost of a cycle does not grow with the finished actions.
 */
export interface Catalogue {
  /** Starts anew from a full listing. */
  load(entries: readonly TreeEntry[]): void;
  apply(changes: readonly TreeChange[]): void;
  /** Action files without any result for their id, in the order of their ids, then of their paths. */
  pending(): readonly ActionFile[];
  /** All action files of an id; more than one is a duplicate. */
  files(id: string): readonly ActionFile[];
  /** The result at the tip (of several the first by its path); null if there is none. */
  result(id: string): TreeEntry | null;
  results(): Iterable<readonly [string, TreeEntry]>;
  /** Cancel requests of an id in whatever folder, in the order of their paths. */
  cancels(id: string): readonly TreeEntry[];
  /** Files whose stem is no id: they get no result. */
  misnamed(): readonly TreeEntry[];
}

const RESULT = '.result.json';
const ACTION = '.toml';
const SIDECAR = 'sidecar/';

/** Path of the result that belongs beside an action file. */
export function resultPath(actionPath: string): string {
  return `${actionPath.slice(0, -ACTION.length)}${RESULT}`;
}

/** Where the result of whatever was run belongs. Results of sidecars have a folder of their own. */
export function resultPathOf(id: string, actionPath: string, sidecarsDir: string): string {
  if (sidecarNameOf(id) === null) return resultPath(actionPath);
  return `${sidecarsDir}/${id.slice(SIDECAR.length)}${RESULT}`;
}

/** The id that a result path is of, a sidecar's too. */
export function recordedId(path: string, sidecarsDir: string): string {
  return path.startsWith(`${sidecarsDir}/`) ? `${SIDECAR}${resultId(path)}` : resultId(path);
}

/** The id that a result path beside an action is of. */
export function resultId(path: string): string {
  return nameOf(path).slice(0, -RESULT.length);
}

/** A cancel request lies beside its action and is none itself. */
const isActionName = (name: string) => name.endsWith(ACTION) && !isCancelPath(name);
const byPath = (a: { readonly path: string }, b: { readonly path: string }) => (a.path < b.path ? -1 : 1);
const nameOf = (path: string) => path.slice(path.lastIndexOf('/') + 1);

export function createCatalogue(sidecarsDir: string): Catalogue {
  return new TreeCatalogue(sidecarsDir);
}

class TreeCatalogue implements Catalogue {
  readonly #actions: ById<ActionFile> = new Map();
  readonly #results: ById<TreeEntry> = new Map();
  readonly #cancels: ById<TreeEntry> = new Map();
  readonly #misnamed = new Map<string, TreeEntry>();
  readonly #waiting = new Set<string>();
  readonly #sidecarsDir: string;

  constructor(sidecarsDir: string) {
    this.#sidecarsDir = sidecarsDir;
  }

  load(entries: readonly TreeEntry[]): void {
    for (const map of [this.#actions, this.#results, this.#cancels, this.#misnamed, this.#waiting]) map.clear();
    for (const entry of entries) this.#add(entry);
  }

  apply(changes: readonly TreeChange[]): void {
    for (const change of changes) if (change.before !== null) this.#remove(change.before.path);
    for (const change of changes) if (change.after !== null) this.#add(change.after);
  }

  pending(): readonly ActionFile[] {
    return [...this.#waiting].toSorted().flatMap((id) => this.files(id));
  }

  files(id: string): readonly ActionFile[] {
    return filesOf(this.#actions, id);
  }

  result(id: string): TreeEntry | null {
    return filesOf(this.#results, id)[0] ?? null;
  }

  *results(): Iterable<readonly [string, TreeEntry]> {
    for (const id of this.#results.keys()) {
      const entry = this.result(id);
      if (entry !== null) yield [id, entry];
    }
  }

  cancels(id: string): readonly TreeEntry[] {
    return filesOf(this.#cancels, id);
  }

  misnamed(): readonly TreeEntry[] {
    return [...this.#misnamed.values()];
  }

  #add(entry: TreeEntry): void {
    const name = nameOf(entry.path);
    const cancelled = cancelledId(name);
    if (this.#isSidecar(entry.path)) {
      const id = recordedId(entry.path, this.#sidecarsDir);
      if (name.endsWith(RESULT) && isSidecarId(id)) addTo(this.#results, id, entry);
    } else if (name.endsWith(RESULT)) {
      addTo(this.#results, resultId(name), entry);
      this.#settle(resultId(name));
    } else if (cancelled !== null) addTo(this.#cancels, cancelled, entry);
    else if (isActionName(name)) this.#addAction(name.slice(0, -ACTION.length), entry);
  }

  #addAction(id: string, entry: TreeEntry): void {
    if (!isActionId(id)) {
      this.#misnamed.set(entry.path, entry);
      return;
    }
    addTo(this.#actions, id, { id, path: entry.path, entry });
    this.#settle(id);
  }

  #remove(path: string): void {
    const name = nameOf(path);
    this.#misnamed.delete(path);
    const cancelled = cancelledId(name);
    if (this.#isSidecar(path)) removeFrom(this.#results, recordedId(path, this.#sidecarsDir), path);
    else if (name.endsWith(RESULT)) {
      removeFrom(this.#results, resultId(name), path);
      this.#settle(resultId(name));
    } else if (cancelled !== null) removeFrom(this.#cancels, cancelled, path);
    else if (isActionName(name)) {
      removeFrom(this.#actions, name.slice(0, -ACTION.length), path);
      this.#settle(name.slice(0, -ACTION.length));
    }
  }

  #isSidecar(path: string): boolean {
    return path.startsWith(`${this.#sidecarsDir}/`);
  }

  #settle(id: string): void {
    if (this.#actions.has(id) && !this.#results.has(id)) this.#waiting.add(id);
    else this.#waiting.delete(id);
  }
}

/** Of nearly every id there is one file: a map for each would be most of what ten thousand finished actions need. */
type ById<T> = Map<string, T | Map<string, T>>;

function filesOf<T extends { readonly path: string }>(byId: ById<T>, id: string): readonly T[] {
  const some = byId.get(id);
  if (some === undefined) return [];
  return some instanceof Map ? [...some.values()].toSorted(byPath) : [some];
}

function addTo<T extends { readonly path: string }>(byId: ById<T>, id: string, file: T): void {
  const some = byId.get(id);
  if (some instanceof Map) some.set(file.path, file);
  else if (some === undefined || some.path === file.path) byId.set(id, file);
  else byId.set(id, new Map([some, file].map((each) => [each.path, each])));
}

function removeFrom<T extends { readonly path: string }>(byId: ById<T>, id: string, path: string): void {
  const some = byId.get(id);
  if (some === undefined) return;
  if (some instanceof Map) some.delete(path);
  if (some instanceof Map ? some.size === 0 : some.path === path) byId.delete(id);
}
