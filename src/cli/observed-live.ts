import { type AttemptRecord, mostAttempts } from '../domain/attempt-record.ts';
import { isAttemptToken, sidecarNameOf } from '../domain/ids.ts';
import type { JournalEntry } from '../domain/journal.ts';
import type { Reason, Run, RunStatus } from '../domain/run.ts';
import { EdgeError } from '../errors.ts';
import { reason, reasonOf } from '../story/reasons.ts';
import type { Observed } from './observe.ts';
import { formulaOf, issuePart, type ObservedAction, shown } from './observed-action.ts';

/** An attempt that is under way, and where its run is, if this machine's engine knows it. */
export async function describeLive(entry: JournalEntry, observed: Observed): Promise<ObservedAction> {
  const { context } = observed;
  const record = await context.records.load(entry.token);
  const found = await findRun(entry, observed);
  const status = await statusOf(found.run, observed);
  return {
    id: entry.id,
    state: liveState(entry, status, { run: found.run, dispatchedAt: record?.dispatched_at ?? null }),
    reason: await reasonOfLive(entry, { ...found, status, record }, observed),
    since: entry.claimed_at,
    ...(record === null ? { tier: null, formula: await formulaOfLive(entry, observed) } : formulaFacts(record)),
    blob: entry.blob,
    attempt: entry.attempt,
    ...(record?.kept === undefined ? {} : { attempts: mostAttempts(record) ?? undefined }),
    run: found.run?.id ?? entry.run_id ?? null,
    ...(record?.sidecar === undefined ? issueOfRun(entry.id, observed) : issuePart(entry.id, record.sidecar)),
  };
}

/** The id of a sidecar names it; of an action its file does. */
async function formulaOfLive({ id, blob }: JournalEntry, observed: Observed): Promise<string | null> {
  const name = sidecarNameOf(id);
  if (name !== null) return name.formula;
  return formulaOf(blob, observed.world().catalogue.files(id)[0]?.path ?? `${id}.toml`, observed);
}

/** What the id of a sidecar and the rules tell, where this host has no note of the run. */
function issueOfRun(id: string, { sidecars }: Observed): Pick<ObservedAction, 'issue'> {
  const name = sidecarNameOf(id);
  if (name === null) return {};
  const rule = sidecars?.rules.find(({ formula }) => formula === name.formula);
  return { issue: { repo: rule?.repo ?? null, number: name.issue, url: null } };
}

async function reasonOfLive(
  entry: JournalEntry,
  { run, reason: away, status, record }: SeenLive,
  observed: Observed,
): Promise<ObservedAction['reason']> {
  if (away !== null) return shown(away);
  return elsewhere(entry, observed) ?? unplaced(status) ?? (await notSent(run, record, observed));
}

interface SeenLive {
  readonly run: Run | null;
  /** Why the engine could not be asked. */
  readonly reason: Reason | null;
  readonly status: RunStatus | null;
  readonly record: AttemptRecord | null;
}

function liveState(
  entry: JournalEntry,
  status: RunStatus | null,
  { run, dispatchedAt }: { readonly run: Run | null; readonly dispatchedAt: string | null },
): string {
  if (run !== null && status?.state !== 'queued') return 'running';
  return run === null && dispatchedAt === null ? entry.state : 'dispatched';
}

const formulaFacts = ({ formula }: AttemptRecord) => ({ tier: formula?.tier ?? null, formula: formula?.name ?? null });

/** The run of a live attempt; `reason`: why the engine could not be asked. */
export async function findRun(
  entry: JournalEntry,
  { context }: Observed,
): Promise<{ readonly run: Run | null; readonly reason: Reason | null }> {
  if (entry.engine !== context.engine.kind || !isAttemptToken(entry.token)) return { run: null, reason: null };
  try {
    return {
      run: await context.engine.find({ token: entry.token, payloadSha256: entry.payload_sha256 }),
      reason: null,
    };
  } catch (error) {
    if (error instanceof EdgeError) return { run: null, reason: reasonOf(error) };
    throw error;
  }
}

/** What stands against sending an attempt that is claimed. */
async function notSent(
  run: Run | null,
  record: AttemptRecord | null,
  { context }: Observed,
): Promise<ObservedAction['reason']> {
  if (run !== null || record?.request == null) return null;
  const { job, meta } = record.request;
  try {
    await context.engine.ready({ job, mounts: (meta['mounts'] ?? '').split(',').filter((name) => name !== '') });
    return null;
  } catch (error) {
    if (error instanceof EdgeError) return shown(reasonOf(error));
    throw error;
  }
}

/** How the engine sees the run at this moment; null: it does not say. */
async function statusOf(run: Run | null, { context }: Observed): Promise<RunStatus | null> {
  const patience = AbortSignal.timeout(LOOK_MS);
  try {
    return run === null ? null : await context.engine.look(run, patience);
  } catch (error) {
    if (error instanceof EdgeError || patience.aborted) return null;
    throw error;
  }
}

/** An engine that is asked and does not answer holds nobody up. */
const LOOK_MS = 5000;

/** What the engine says of why it has no place for it: a resource, a constraint, a volume. */
function unplaced(status: RunStatus | null): ObservedAction['reason'] {
  if (status?.state !== 'queued' || status.message === null) return null;
  return shown(reason('ERR_NOT_PLACED', status.message));
}

export function elsewhere(entry: JournalEntry, { config }: Observed): ObservedAction['reason'] {
  if (entry.dispatcher === config.dispatcher.name) return null;
  return shown(reason('ERR_CLAIMED_ELSEWHERE', `${entry.dispatcher} runs it`));
}
