import { sidecarId, sidecarNameOf } from '../../domain/ids.ts';
import type { Result } from '../../domain/result.ts';
import type { SidecarRule } from '../../domain/sidecar.ts';
import type { StoryContext } from '../context.ts';
import { readResult } from '../record-result.ts';
import type { World } from '../world.ts';

/** What journal and branch say of the runs of a formula. */
export interface FormulaRuns {
  /** Ids that are live, or of which nobody knows whether something still runs. */
  readonly live: ReadonlySet<string>;
  /** When runs ended that the journal remembers, in milliseconds since 1970. */
  readonly ended: readonly number[];
}

/** The journal, by formula; read once for each world, but for what only time decides. */
export function runsOf(world: World, formula: string, now: Date): FormulaRuns {
  const { live, ended } = indexOf(world).get(formula) ?? NONE;
  const held = ended.filter(({ heldUntil }) => heldUntil !== null && heldUntil > now.getTime());
  return {
    live: new Set([...live, ...held.map(({ id }) => id)]),
    ended: ended.map(({ at }) => at),
  };
}

interface Indexed {
  readonly live: Set<string>;
  readonly ended: { readonly id: string; readonly at: number; readonly heldUntil: number | null }[];
  /** Each `n` of each issue. */
  readonly numbers: Map<number, Set<number>>;
}

const NONE: Indexed = { live: new Set(), ended: [], numbers: new Map() };
const indexes = new WeakMap<World, ReadonlyMap<string, Indexed>>();

function indexOf(world: World): ReadonlyMap<string, Indexed> {
  const known = indexes.get(world);
  if (known !== undefined) return known;
  const index = new Map<string, Indexed>();
  const of = (id: string): Indexed | null => {
    const name = sidecarNameOf(id);
    if (name === null) return null;
    const { formula, issue, n } = name;
    const found = index.get(formula) ?? { live: new Set(), ended: [], numbers: new Map() };
    index.set(formula, found);
    found.numbers.set(issue, (found.numbers.get(issue) ?? new Set()).add(n));
    return found;
  };
  for (const id of world.journal.entries.keys()) of(id)?.live.add(id);
  for (const { id, ended_at, held_until } of world.journal.ended.values()) {
    const heldUntil = held_until === undefined ? null : Date.parse(held_until);
    of(id)?.ended.push({ id, at: Date.parse(ended_at), heldUntil });
  }
  indexes.set(world, index);
  return index;
}

/**
 * The number before the first of which neither journal nor branch ever knew; 0: there was no run. Not the highest: whoever
 * may push could name one that leaves no number after it.
 */
export function lastNumber(world: World, formula: string, issue: number): number {
  const recorded = world.sidecarRuns(formula, issue);
  const claimed = indexOf(world).get(formula)?.numbers.get(issue);
  let n = 0;
  while (recorded.has(n + 1) || claimed?.has(n + 1) === true) n += 1;
  return n;
}

export interface LastRun {
  /** null: neither journal nor branch knows any more. */
  readonly endedAt: number | null;
  /** What the issue was then; null: not known, or the run never started, so that it has done nothing about it. */
  readonly digest: string | null;
  /** Something was done about the issue, and nobody knows any more what the issue was then. */
  readonly isUntold: boolean;
  /** False: its command was never started. */
  readonly began: boolean;
}

/** How many runs of which nothing is known are passed over: their results were deleted, or are not ours. */
const MOST_BACK = 20;

/** The last run of this formula on this issue; null: there was none. Errors: those of the ops repo. */
export async function lastRun(
  world: World,
  rule: SidecarRule,
  issue: number,
  results: SidecarResults,
): Promise<LastRun | null> {
  const last = lastNumber(world, rule.formula, issue);
  if (last === 0) return null;
  for (let n = last; n > 0 && n > last - MOST_BACK; n -= 1) {
    const id = sidecarId({ formula: rule.formula, issue, n });
    const result = await results.of(id, world);
    const ended = world.journal.ended.get(id)?.ended_at ?? result?.times.recorded;
    if (ended !== undefined) return { endedAt: Date.parse(ended), ...whatItWasOf(result) };
  }
  return { endedAt: null, digest: null, isUntold: true, began: true };
}

/**
 * Ends of runs whose command was never started, so that they did nothing about the issue. Not among them is what nobody
 * can be sure of (`ERR_WRAPPER_USED`) or has to look at first (`ERR_DIGEST`).
 */
const NEVER_BEGAN: ReadonlySet<string> = new Set([
  'ERR_NOT_PLACED',
  'ERR_WRAPPER_EXPIRED',
  'ERR_VAULT_UNAVAILABLE',
  'ERR_SECRET_MISSING',
  'ERR_SECRET_EMPTY',
  'ERR_SECRET_DENIED',
  'ERR_SECRET_UNMASKABLE',
  'ERR_COMMAND_NOT_FOUND',
]);

function whatItWasOf(result: Result | null): Pick<LastRun, 'digest' | 'isUntold' | 'began'> {
  if (NEVER_BEGAN.has(result?.reason?.code ?? '')) return { digest: null, isUntold: false, began: false };
  const digest = result?.sidecar?.digest ?? null;
  return { digest, isUntold: digest === null, began: true };
}

/** Results of sidecars, each read once. */
export class SidecarResults {
  readonly #context: Pick<StoryContext, 'opsRepo' | 'ownResults'>;
  readonly #read = new Map<string, { readonly blob: string; readonly result: Result | null }>();

  constructor(context: Pick<StoryContext, 'opsRepo' | 'ownResults'>) {
    this.#context = context;
  }

  /** null: none lies at the tip, or what lies there is none of ours. Errors: TransientError, StalledError of the ops repo. */
  async of(id: string, world: World): Promise<Result | null> {
    const entry = world.catalogue.result(id);
    if (entry === null) return null;
    const known = this.#read.get(id);
    if (known?.blob === entry.oid) return known.result;
    const { opsRepo, ownResults } = this.#context;
    const isOwn = (await ownResults.judge(world.tips.tip, [entry])).get(entry.path)?.kind === 'own';
    const read = isOwn ? await readResult(entry.oid, opsRepo) : null;
    // What says that it is another run's is none of this one. Its text is not needed, and there may be many.
    const result = read?.id === id ? { ...read, logs: '' } : null;
    this.#read.set(id, { blob: entry.oid, result });
    return result;
  }
}
