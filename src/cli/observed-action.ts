import { Authors } from '../daemon/authors.ts';
import { chooseStarts, holdersOf } from '../daemon/slots.ts';
import { authorsOf, wantingOf } from '../daemon/starts.ts';
import { parseAction } from '../domain/action.ts';
import { isOver, isResting, mostAttempts, type RestingRecord } from '../domain/attempt-record.ts';
import { isOid, sidecarNameOf } from '../domain/ids.ts';
import type { JournalEntry } from '../domain/journal.ts';
import { type Result, resultSchema } from '../domain/result.ts';
import type { Tier } from '../domain/tier.ts';
import { CODES, EdgeError } from '../errors.ts';
import type { TreeEntry } from '../ports/ops-repo.ts';
import type { StoryContext } from '../story/context.ts';
import { checkSecrets } from '../story/grant-access.ts';
import { type Ended, noOrNotYet } from '../story/no-or-not-yet.ts';
import { pauseReason } from '../story/pause.ts';
import { type ReadAction, readAction } from '../story/read-action.ts';
import { reason } from '../story/reasons.ts';
import { nextOf, restingNote } from '../story/retry.ts';
import { judgeAction, type Ready } from '../story/run-action.ts';
import { isWaiting, type Waiting } from '../story/waiting.ts';
import type { Candidate } from '../story/world.ts';
import type { Observed } from './observe.ts';

/** One action, or one run of a sidecar, as `status` and `why` tell it (formats.md, Command line: A). */
export interface ObservedAction {
  readonly id: string;
  /**
   * `pending`; `ready` (nothing holds it back but that no daemon has looked yet); of a definite no that is not recorded
   * yet, and of what has ended: the outcome; in flight: claimed, dispatched or running; `unreadable`: what lies at the
   * place of its result is none. Of an issue, as `why` tells it, also `resting` and `unmatched` (its labels, or its parts,
   * make it no work).
   */
  readonly state: string;
  readonly reason: { readonly code: string; readonly message: string; readonly hint: string | null } | null;
  /** Committed, claimed, or ended. */
  readonly since: string | null;
  readonly tier: Tier | null;
  readonly formula: string | null;
  readonly blob: string | null;
  readonly attempt: number | null;
  /** How many attempts there may be; absent: no earlier one has failed. */
  readonly attempts?: number | undefined;
  /** The engine's name of the run. */
  readonly run: string | null;
  /** What a sidecar works on; of actions absent. null: nobody here knows it any more. */
  readonly issue?: { readonly repo: string | null; readonly number: number; readonly url: string | null } | undefined;
}

export type Verdict = Ready | Waiting | Ended;

/** What the daemon would say of each of these now, slots and pause included; `issues`: sidecars that may run. */
export async function judgeAll(
  candidates: readonly Candidate[],
  observed: Observed,
  signal: AbortSignal,
  issues: readonly Ready[] = [],
): Promise<ReadonlyMap<string, Verdict>> {
  const { context, config, settings } = observed;
  const world = observed.world();
  const verdicts = new Map<string, Verdict>();
  for (const candidate of candidates) verdicts.set(candidate.id, await judgeAction(candidate, context, { signal }));
  for (const issue of issues) verdicts.set(issue.read.candidate.id, issue);
  const ready = [...verdicts.values()].filter((verdict) => verdict.kind === 'ready');
  const paused = await pauseReason(world, context);
  const own = { dispatcher: config.dispatcher.name, now: context.clock.now() };
  const limits = { inFlight: settings.inFlight, startsLeft: settings.dispatchesPerMinute };
  const holders = holdersOf(world.journal, new Map(), own);
  const authors = await authorsOf(new Authors(context.opsRepo), { ready, holders, world });
  const wanting = ready.map((one) => wantingOf(one, authors));
  const { held } = chooseStarts(wanting, holders, limits, { authorOf: authors, last: new Map() });
  for (const { read } of ready) {
    const { id } = read.candidate;
    const slot = held.get(id);
    const why = paused ?? (slot === undefined ? null : reason(slot.code, slot.message));
    const verdict: Verdict | null =
      why === null ? await whatServicesSay(read, context) : { kind: 'waiting', reason: why };
    if (verdict !== null) verdicts.set(id, verdict);
  }
  return verdicts;
}

/** Is there a job for it, and would its secrets be granted? null: yes. */
async function whatServicesSay(read: ReadAction, context: StoryContext): Promise<Waiting | Ended | null> {
  try {
    await context.engine.ready({ job: read.job, mounts: read.action.mounts });
    await checkSecrets(read, context);
    return null;
  } catch (error) {
    return noOrNotYet(error, read.candidate);
  }
}

/** Actions without a result and without a live attempt, in the order of their commits. */
export async function waitingCandidates({ world, context }: Observed): Promise<readonly Candidate[]> {
  const { candidates, journal } = world();
  const waiting: Candidate[] = [];
  for (const candidate of candidates.values()) {
    const entry = journal.entries.get(candidate.id);
    if (entry === undefined || (await awaitsNext(entry, candidates, context))) waiting.push(candidate);
  }
  return waiting.toSorted((a, b) => a.committedAt.localeCompare(b.committedAt) || a.id.localeCompare(b.id));
}

/** Live attempts; one whose result is in the repo already is none any more, unless somebody else wrote that. */
export async function liveEntries(observed: Observed): Promise<readonly JournalEntry[]> {
  const live: JournalEntry[] = [];
  const { journal, candidates } = observed.world();
  for (const entry of journal.entries.values()) {
    if (await awaitsNext(entry, candidates, observed.context)) continue;
    if (!(await isRecorded(entry.id, observed))) live.push(entry);
  }
  return live.toSorted((a, b) => a.claimed_at.localeCompare(b.claimed_at));
}

async function isRecorded(id: string, { world, context }: Observed): Promise<boolean> {
  const { catalogue, tips } = world();
  const result = catalogue.result(id);
  if (result === null) return false;
  return (await context.ownResults.judge(tips.tip, [result])).get(result.path)?.kind === 'own';
}

/** This host knows that the attempt never started, or keeps its end: its action waits for the next one. */
async function awaitsNext(
  entry: JournalEntry,
  candidates: ReadonlyMap<string, Candidate>,
  context: Observed['context'],
): Promise<boolean> {
  const record = await context.records.load(entry.token);
  return record !== null && isOver(record) && (!isResting(record) || candidates.has(entry.id));
}

export async function describeWaiting(
  candidate: Candidate,
  verdict: Verdict,
  observed: Observed,
): Promise<ObservedAction> {
  const read = verdict.kind === 'ready' ? verdict.read : await readOrNull(candidate, observed);
  const resting = await restingNote(candidate.id, observed.context);
  return {
    id: candidate.id,
    state: stateOf(verdict, resting),
    reason: reasonOfWaiting(verdict, resting),
    since: candidate.committedAt,
    tier: read?.tier ?? null,
    formula: read?.formula.name ?? (await formulaOf(candidate.file.entry.oid, candidate.file.path, observed)),
    blob: candidate.file.entry.oid,
    ...(resting === null
      ? { attempt: null }
      : { attempt: resting.entry.attempt, attempts: mostAttempts(resting) ?? undefined }),
    run: null,
  };
}

/** A no to another attempt makes the end of the last one the action's. */
function stateOf(verdict: Verdict, resting: RestingRecord | null): string {
  if (verdict.kind !== 'ended') return verdict.kind === 'ready' ? 'ready' : 'pending';
  return verdict.outcome === 'cancelled' ? 'cancelled' : (resting?.kept.result.outcome ?? verdict.outcome);
}

function reasonOfWaiting(verdict: Verdict, resting: RestingRecord | null): ObservedAction['reason'] {
  if (verdict.kind === 'ready') return null;
  const why = shown(verdict.reason);
  if (resting === null || verdict.kind === 'ended' || why.code === 'ERR_RETRY_DUE') return why;
  return { ...why, message: `${nextOf(resting)} is due: ${why.message}` };
}

export async function describeEnded(id: string, at: TreeEntry, observed: Observed): Promise<ObservedAction> {
  const result = await readResult(at, observed);
  return result === null ? describeUnreadable(id) : describeResult(result);
}

export function describeResult(result: Result): ObservedAction {
  return {
    id: result.id,
    state: result.outcome,
    reason: result.reason === null ? null : shown(result.reason),
    since: result.timestamp,
    tier: result.formula?.tier ?? null,
    formula: result.formula?.name ?? null,
    blob: result.action.blob,
    attempt: result.attempt?.number ?? null,
    run: result.run?.id ?? null,
    ...issuePart(result.id, result.sidecar),
  };
}

/** Of an action nothing is added; of a sidecar whose note was lost, what its id tells. */
export function issuePart(id: string, sidecar: Result['sidecar']): Pick<ObservedAction, 'issue'> {
  const name = sidecarNameOf(id);
  if (sidecar !== undefined) return { issue: { repo: sidecar.repo, number: sidecar.issue, url: sidecar.url } };
  return name === null ? {} : { issue: { repo: null, number: name.issue, url: null } };
}

export function describeUnreadable(id: string): ObservedAction {
  const why = reason('ERR_FOREIGN_RESULT', 'what lies at the place of its result is no result');
  const none = { since: null, tier: null, formula: null, blob: null, attempt: null, run: null };
  return { id, state: 'unreadable', reason: shown(why), ...none };
}

/** null: it is no result that this version can read. */
export async function readResult({ oid }: TreeEntry, { context }: Observed): Promise<Result | null> {
  try {
    return resultSchema.parse(JSON.parse(Buffer.from(await context.opsRepo.read(oid)).toString('utf8')));
  } catch (error) {
    if (error instanceof EdgeError && error.code !== 'ERR_FILE_SIZE') throw error;
    return null;
  }
}

async function readOrNull(candidate: Candidate, observed: Observed): Promise<ReadAction | null> {
  try {
    const read = await readAction(candidate, observed.world(), observed.context.opsRepo);
    return isWaiting(read) ? null : read;
  } catch (error) {
    if (error instanceof EdgeError) return null;
    throw error;
  }
}

/** The formula that these bytes name, whether they are valid in all else or not in our clone any more. */
export async function formulaOf(blob: string, path: string, { context }: Observed): Promise<string | null> {
  if (!isOid(blob)) return null;
  try {
    const parsed = parseAction(await context.opsRepo.read(blob), path);
    return parsed.ok ? parsed.value.formula : null;
  } catch (error) {
    if (error instanceof EdgeError) return null;
    throw error;
  }
}

export const shown = ({ code, message, hint }: { code: string; message: string; hint: string | null }) => ({
  code,
  message,
  hint,
});

/** What is done about a code (errors.ts); null: a code that this version does not have. */
export function classOf(code: string): string | null {
  return new Map<string, { readonly class: string }>(Object.entries(CODES)).get(code)?.class ?? null;
}
