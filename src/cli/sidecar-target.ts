import { isSidecarId, type SidecarId, type SidecarName, sidecarId, sidecarNameOf } from '../domain/ids.ts';
import { nearestName } from '../domain/problems.ts';
import type { SidecarRule } from '../domain/sidecar.ts';
import { UsageError } from '../errors.ts';
import { lastNumber } from '../story/sidecar/past-runs.ts';
import type { Observed } from './observe.ts';
import { liveEntries } from './observed-action.ts';

/** What somebody means by `sidecar/<formula>-<issue>` or `sidecar/<formula>-<issue>-<n>`. */
export interface SidecarTarget {
  readonly formula: string;
  readonly issue: number;
  /** null: whichever run there is. */
  readonly n: number | null;
  /** null: no rule has this formula any more. */
  readonly rule: SidecarRule | null;
}

const PREFIX = 'sidecar/';

/** No action has a slash in its id. */
export const isSidecarText = (given: string): boolean => given.startsWith(PREFIX);

/** Throws UsageError (ERR_NOT_FOUND), which names the formulas there are. */
export function sidecarTarget(given: string, observed: Observed): SidecarTarget {
  const runs = (formula: string, issue: number) => lastNumber(observed.world(), formula, issue);
  return readTarget(given, { rules: observed.sidecars?.rules ?? [], runs });
}

interface Known {
  readonly rules: readonly SidecarRule[];
  /** The highest `n` of the runs there ever were; 0: none. */
  readonly runs: (formula: string, issue: number) => number;
}

/**
 * Formulas may end in a number too: what is meant is the reading whose formula there is; where there are both, the id of
 * a run that there was, or that is the next. Throws as `sidecarTarget`.
 */
export function readTarget(given: string, { rules, runs }: Known): SidecarTarget {
  const [, formula, issue] = /^sidecar\/(.+)-([1-9]\d{0,8})$/.exec(given) ?? [];
  const run = sidecarNameOf(given);
  const readings = [
    ...(run === null ? [] : [run]),
    ...(formula === undefined ? [] : [{ formula, issue: Number(issue), n: null }]),
  ].map((reading) => ({ ...reading, rule: rules.find((rule) => rule.formula === reading.formula) ?? null }));
  const known = readings.filter((one) => one.rule !== null || runs(one.formula, one.issue) > 0);
  const found = known.find((one) => one.n === null || one.n <= runs(one.formula, one.issue) + 1) ?? known[0];
  if (found !== undefined) return found;
  throw unknownFormula(given, rules);
}

function unknownFormula(given: string, rules: readonly SidecarRule[]): UsageError {
  const names = rules.map(({ formula }) => formula);
  const text = given.slice(PREFIX.length);
  if (names.length === 0) {
    const message = `there is no sidecar ${JSON.stringify(given)}: the configuration has no [[sidecar]]`;
    return new UsageError('ERR_NOT_FOUND', message, { hint: 'Add a [[sidecar]] to the configuration.' });
  }
  if (names.includes(text)) {
    return new UsageError('ERR_NOT_FOUND', `${given} names no issue`, { hint: `Which one? ${given}-<issue>` });
  }
  const formula = text.replace(/(?:-\d+){1,2}$/, '');
  const near = nearestName(formula, names);
  const hint =
    near === undefined ? `It is sidecar/<formula>-<issue>, like sidecar/${names[0]}-12.` : `Did you mean ${near}?`;
  const message = `no [[sidecar]] has the formula ${JSON.stringify(formula)}; there are: ${names.join(', ')}`;
  return new UsageError('ERR_NOT_FOUND', message, { hint });
}

/** A run of a sidecar. `next`: the one that has not begun yet. */
export interface SidecarRun {
  readonly id: SidecarId;
  readonly state: 'live' | 'recorded' | 'next';
}

/**
 * The run that is meant: where none is named the live one, else the newest that is recorded, else the next one. Throws
 * UsageError (ERR_NOT_FOUND) for a number that there is not.
 */
export async function sidecarRun(target: SidecarTarget, observed: Observed): Promise<SidecarRun> {
  const { formula, issue, n } = target;
  const last = lastNumber(observed.world(), formula, issue);
  const next = nextId({ formula, issue, n: last + 1 });
  const live = (await liveEntries(observed)).map(({ id }) => id);
  const recorded = [...observed.world().catalogue.results()].map(([id]) => id);
  const known: readonly SidecarRun[] = [
    ...runsAmong(live, target).map((id) => ({ id, state: 'live' as const })),
    ...runsAmong(recorded, target).map((id) => ({ id, state: 'recorded' as const })),
    ...(next === null ? [] : [{ id: next, state: 'next' as const }]),
  ];
  const found = known.find(({ id }) => n === null || sidecarNameOf(id)?.n === n);
  if (found === undefined) throw noSuchRun(target, last);
  return found;
}

/** Newest first. */
function runsAmong(ids: readonly string[], { formula, issue }: SidecarTarget): readonly SidecarId[] {
  const names = ids.flatMap((id) => sidecarNameOf(id) ?? []);
  const own = names.filter((name) => name.formula === formula && name.issue === issue);
  return own.toSorted((a, b) => b.n - a.n).map(sidecarId);
}

/** null: there is no further number. */
function nextId({ formula, issue, n }: SidecarName): SidecarId | null {
  const id = `sidecar/${formula}-${issue}-${n}`;
  return isSidecarId(id) ? id : null;
}

function noSuchRun({ formula, issue, n }: SidecarTarget, last: number): UsageError {
  const what = `run ${n} of ${formula} on issue #${issue}`;
  if (n !== null && n <= last) {
    const hint = '`verify` tells which commit took it away; if it ended just now, its result is still on its way.';
    return new UsageError('ERR_NOT_FOUND', `${what} has ended, but its result does not lie on the branch`, { hint });
  }
  const hint = last === 0 ? 'There was none yet.' : `The last one was ${sidecarId({ formula, issue, n: last })}.`;
  return new UsageError('ERR_NOT_FOUND', `there was no ${what}`, { hint });
}
