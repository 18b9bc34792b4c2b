import { type AttemptRecord, historyOf, isOver } from '../domain/attempt-record.ts';
import { attemptToken, sha256 } from '../domain/ids.ts';
import type { Evidence } from '../domain/result.ts';
import { RefusedError, StalledError, toError } from '../errors.ts';
import type { Grant } from '../ports/access.ts';
import type { Approval } from './approve-action.ts';
import { type AttemptName, buildPayload, sizedFragment } from './build-payload.ts';
import type { StoryContext } from './context.ts';
import type { ReadAction, SidecarWish } from './read-action.ts';

/** What goes before this attempt: earlier ones of the same action, oldest first. */
export interface Earlier {
  readonly number: number;
  readonly attempts: AttemptRecord['attempts'];
  /** Token of the journal entry whose place the next attempt takes; null: there is none. */
  readonly replaces: string | null;
  /** The end of the last one that ran. */
  readonly kept?: AttemptRecord['kept'];
}

/**
 * The attempt that is proven not to have started, or whose end is kept, if there is one; attempt n counts only after that
 * of n − 1.
 */
export async function earlierOf(id: string, context: StoryContext): Promise<Earlier> {
  const entry = context.world().journal.entries.get(id);
  const record = entry === undefined ? null : await context.records.load(entry.token);
  if (record === null || !isOver(record)) return { number: 0, attempts: [], replaces: null };
  const { attempt, token } = record.entry;
  return { number: attempt, attempts: historyOf(record), replaces: token, kept: record.kept };
}

/**
 * Step 3: is there a job for it, and do all named secrets exist? Then mints exactly these, verified, and notes the attempt
 * on this host. A note of this start that was never claimed is used again instead of minting twice, and one that the
 * journal has lost is answered as `claimed`. Throws RefusedError (ERR_SECRET_UNKNOWN),
 * StalledError (ERR_ACCESS_DENIED), InvalidError (ERR_PAYLOAD_SIZE); with any of them nothing was minted.
 */
export async function grantAccess(
  read: ReadAction,
  approval: Approval,
  earlier: Earlier,
  context: StoryContext,
): Promise<AttemptRecord> {
  const attempt = nameAttempt(read, earlier, context);
  const noted = await context.records.load(attempt.token);
  if (noted !== null && usable(noted, context)) return noted;
  if (noted !== null && noted.claimed && !noted.unstarted) return reclaimed(noted, context);
  await context.engine.ready({ job: read.job, mounts: read.action.mounts });
  await checkSecrets(read, context);
  const trailerKey = context.clock.key();
  buildPayload(read, attempt, { fragment: sizedFragment(read, context), trailerKey }, context);
  const request = {
    id: attempt.id,
    attempt: attempt.number,
    token: attempt.token,
    blobs: { action: read.candidate.file.entry.oid, formula: read.formula.blob },
    secrets: read.action.secrets,
    wrapSeconds: context.settings.wrapSeconds,
  };
  const grant = await context.access.grant(request);
  try {
    await context.access.verify(request, grant);
    const payload = buildPayload(read, attempt, { fragment: grant.fragment, trailerKey }, context);
    const record = noteOf({ read, approval, earlier, attempt, grant, payload, trailerKey }, context);
    await context.records.save(record);
    return record;
  } catch (error) {
    // The note first, if it was written: it must never be used again with a grant that is gone.
    await context.records.remove(attempt.token);
    // It is held by nobody and ends by itself; what was wrong with it must be told in any case.
    const revoked = context.access.revoke(grant.accessor, attempt.token);
    await revoked.catch((err: unknown) =>
      context.log.warn('a grant that was not used lives on until its end', { id: attempt.id, err: toError(err) }),
    );
    throw error;
  }
}

function nameAttempt(read: ReadAction, earlier: Earlier, context: StoryContext): AttemptName {
  const number = earlier.number + 1;
  const { id, file } = read.candidate;
  return {
    id,
    number,
    token: attemptToken({ repo: context.world().tips.root, id, blob: file.entry.oid, attempt: number }),
  };
}

/** Minted by this very start, never sent, and with time enough to be placed. */
function usable(record: AttemptRecord, context: StoryContext): boolean {
  const left = Date.parse(record.grant.expires_at) - context.clock.now().getTime();
  return (
    !record.claimed &&
    record.request !== null &&
    record.entry.instance === context.settings.instance &&
    left > context.settings.placementSeconds * 1000
  );
}

/** Claimed by this host and lost by the journal: it is under way, so nothing is minted for it again. */
function reclaimed(record: AttemptRecord, context: StoryContext): AttemptRecord {
  return { ...record, entry: { ...record.entry, instance: context.settings.instance } };
}

/** Whether all that it names can be granted. Throws RefusedError (ERR_SECRET_UNKNOWN), StalledError, TransientError. */
export async function checkSecrets(read: ReadAction, context: StoryContext): Promise<void> {
  const states = await context.access.states(read.action.secrets);
  const missing = read.action.secrets.filter((name) => states.get(name) === 'missing');
  if (missing.length > 0) {
    throw new RefusedError('ERR_SECRET_UNKNOWN', `not in the secret store: ${missing.join(', ')}`);
  }
  const denied = read.action.secrets.filter((name) => states.get(name) !== 'present');
  if (denied.length > 0) {
    throw new StalledError('ERR_ACCESS_DENIED', `the secret store does not let us grant: ${denied.join(', ')}`);
  }
}

interface Note {
  readonly read: ReadAction;
  readonly approval: Approval;
  readonly earlier: Earlier;
  readonly attempt: AttemptName;
  readonly grant: Grant;
  readonly payload: Buffer;
  readonly trailerKey: string;
}

function noteOf(note: Note, context: StoryContext): AttemptRecord {
  const { read, approval, attempt, grant } = note;
  const { candidate, formula, sidecar } = read;
  return {
    v: 1,
    entry: {
      id: attempt.id,
      blob: candidate.file.entry.oid,
      formula_blob: formula.blob,
      attempt: attempt.number,
      token: attempt.token,
      dispatcher: context.settings.dispatcher,
      instance: context.settings.instance,
      claimed_at: context.clock.now().toISOString(),
      timeout_seconds: read.timeoutSeconds,
      state: 'claimed',
      engine: context.engine.kind,
      group: read.group.name,
      payload_sha256: sha256(note.payload),
      accessors: [grant.accessor],
      ...(sidecar === null ? {} : { sidecar: keptOf(sidecar) }),
    },
    claimed: false,
    request: {
      job: read.job,
      meta: metaOf(read, attempt),
      payload: note.payload.toString('base64'),
    },
    unstarted: false,
    trailer_key: note.trailerKey,
    grant: {
      accessor: grant.accessor,
      policies: [...grant.policies],
      issued_at: grant.issuedAt,
      expires_at: grant.expiresAt,
      revoked_at: null,
    },
    action: {
      path: candidate.file.path,
      blob: candidate.file.entry.oid,
      commit: candidate.commit,
      sha256: read.sha256,
      committed_at: candidate.committedAt,
    },
    formula: { name: formula.name, blob: formula.blob, tier: read.tier },
    approval: approvalNote(approval),
    dispatched_at: null,
    attempts: [...note.earlier.attempts],
    ...(sidecar === null ? {} : { sidecar: keptOf(sidecar) }),
    ...(note.earlier.kept === undefined ? {} : { kept: note.earlier.kept }),
  };
}

export function approvalNote({ required, evidence, approvedAt }: Approval): NonNullable<AttemptRecord['approval']> {
  return { required: [...required], evidence: evidence.map(evidenceOf), approved_at: approvedAt };
}

function metaOf({ action, formula, sidecar }: ReadAction, { id, number }: AttemptName): Record<string, string> {
  return {
    action_id: id,
    attempt: String(number),
    formula: formula.name,
    mounts: action.mounts.toSorted().join(','),
    secrets_csv: action.secrets.join(','),
    ...(sidecar === null ? {} : { issue_number: String(sidecar.issue), project_toml: sidecar.project }),
  };
}

function evidenceOf({ rule, by, what, commit, at }: Approval['evidence'][number]): Evidence {
  return { rule, by, what, commit, at };
}

function keptOf({ repo, issue, url, project, digest }: SidecarWish): NonNullable<AttemptRecord['sidecar']> {
  return { repo, issue, url, project, digest };
}
