import { cancelPath, parseCancel } from '../domain/cancel.ts';
import { isOid } from '../domain/ids.ts';
import type { Reason, StopRequest } from '../domain/run.ts';
import type { Tier } from '../domain/tier.ts';
import { combine } from '../domain/verdict.ts';
import { InvalidError, StalledError, TransientError, toError } from '../errors.ts';
import type { ApprovalSubject } from '../ports/approval.ts';
import type { Log } from '../ports/log.ts';
import { askRules } from './ask-rules.ts';
import { type Author, authorByFeed, authorByKey, type SetAction } from './cancel-author.ts';
import type { StoryContext } from './context.ts';
import { reason, reasonOf } from './reasons.ts';
import type { CancelFile, World } from './world.ts';

/*
 * Does a committed wish to stop an action (`<id>.cancel.toml`) count? It does in a commit after the action's, when the
 * tier's own rule approves exactly these bytes, or when it comes from the author of the action. Until then the action
 * goes its way, and what is missing is said.
 */

/** The action that a request may stop. */
export interface Cancellable {
  readonly id: string;
  readonly path: string;
  readonly blob: string;
  /** The commit that set its bytes; null: nobody knows any more. */
  readonly commit: string | null;
  /** null: it gets an end of its own (invalid, refused) whatever is asked for. */
  readonly tier: () => Promise<Tier | null>;
}

/** `open`: it does not count, or not yet. */
export type CancelVerdict =
  | { readonly kind: 'none' }
  | { readonly kind: 'counts'; readonly stop: StopRequest }
  | { readonly kind: 'open'; readonly path: string; readonly reason: Reason };

/** What people do can make a request count while the branch stands still. */
const KEPT_MS = 5000;

/**
 * The cancel request of an action and whether it counts. May be asked as often as anybody likes: while the world is the
 * same it is judged every few seconds. Never throws: an outage means that it does not count yet, which is logged once.
 */
export async function cancelRequest(
  action: Cancellable,
  context: StoryContext,
  signal?: AbortSignal,
): Promise<CancelVerdict> {
  const world = context.world();
  const file = world.cancels.get(cancelPath(action.path));
  if (file === undefined) return NONE;
  const kept = keptIn(world);
  const key = `${action.path} ${action.commit}`;
  const last = kept.get(key);
  if (last !== undefined && context.clock.monotonic() - last.at < KEPT_MS) return last.verdict;
  const verdict = await judgeCalmly(action, file, context, signal);
  if (verdict === null) return NONE;
  kept.set(key, { at: context.clock.monotonic(), verdict });
  sayOnce(action, file, verdict, context.log);
  return verdict;
}

const NONE: CancelVerdict = { kind: 'none' };

/** null: we are being stopped ourselves, and nobody waits for an answer. */
async function judgeCalmly(
  action: Cancellable,
  file: CancelFile,
  context: StoryContext,
  signal: AbortSignal | undefined,
): Promise<CancelVerdict | null> {
  try {
    return await judge(action, file, context, signal);
  } catch (error) {
    if (error instanceof TransientError || error instanceof StalledError) return open(file, notNow(error));
    if (signal?.aborted === true) return null;
    context.log.error('could not judge a cancel request', { id: action.id, err: toError(error) });
    return open(file, reason('ERR_INTERNAL', 'could not be judged: the dispatcher made a mistake; its log says more'));
  }
}

async function judge(
  action: Cancellable,
  file: CancelFile,
  context: StoryContext,
  signal: AbortSignal | undefined,
): Promise<CancelVerdict> {
  const world = context.world();
  if (!world.tips.descends)
    return open(file, reason('ERR_HISTORY_DIVERGED', 'does not count: the branch was rewritten'));
  const read = await readCancel(file, context);
  if (typeof read !== 'string') return open(file, read);
  const set = await setAction(action, context);
  if (set === null) return open(file, unapproved('does not count: nobody knows any more which commit set the action'));
  if (file.commit === set.commit || !(await context.opsRepo.isAncestor(set.commit, file.commit))) {
    const hint = 'Change the cancel file in a commit of its own, after the action.';
    return open(file, reason('ERR_CANCEL_UNAPPROVED', 'was not committed after the action', null, hint));
  }
  const tier = await action.tier();
  if (tier === null) return NONE;
  const entitled = await entitlement({ set, file, tier, signal }, context);
  if (typeof entitled !== 'string') return open(file, entitled);
  return { kind: 'counts', stop: { kind: 'cancel', by: entitled, message: read, at: askedAt(file, context) } };
}

function open({ path }: CancelFile, why: Reason): CancelVerdict {
  return { kind: 'open', path, reason: { ...why, message: `cancel request ${why.message}` } };
}

/** An outage is no answer: it is asked again. */
function notNow(error: TransientError | StalledError): Reason {
  return { ...reasonOf(error), message: `cannot be judged now: ${error.message}` };
}

function unapproved(message: string): Reason {
  return reason('ERR_CANCEL_UNAPPROVED', message);
}

/** What it says; or why it can't be read. */
async function readCancel({ path, entry }: CancelFile, { opsRepo }: StoryContext): Promise<string | Reason> {
  if (entry.kind !== 'file' && entry.kind !== 'executable') {
    return reason('ERR_CANCEL_INVALID', `is a ${entry.kind}, not a regular file`);
  }
  try {
    const parsed = parseCancel(await opsRepo.read(entry.oid), path);
    if (parsed.ok) return parsed.value.reason;
    const [first] = parsed.problems;
    return reason('ERR_CANCEL_INVALID', `is invalid: ${first?.message ?? 'it cannot be read'}`, null, first?.hint);
  } catch (error) {
    if (error instanceof InvalidError) return reason('ERR_CANCEL_INVALID', `is invalid: ${error.message}`);
    throw error;
  }
}

/** Where this host's note is lost, the file may have been edited since the claim: then its setter is not the author. */
async function setAction({ path, blob, commit }: Cancellable, { opsRepo }: StoryContext): Promise<SetAction | null> {
  if (commit === null || !isOid(commit) || !isOid(blob)) return null;
  return (await opsRepo.entryAt(commit, path))?.oid === blob ? { path, blob, commit } : null;
}

interface Asked {
  readonly set: SetAction;
  readonly file: CancelFile;
  readonly tier: Tier;
  readonly signal: AbortSignal | undefined;
}

/** One way is enough; that another one can't be asked now matters only when none is. */
async function entitlement({ set, file, tier, signal }: Asked, context: StoryContext): Promise<string | Reason> {
  const ways = [
    () => authorByKey(set, file, context.opsRepo),
    () => approvedByRule(file, tier, context, signal),
    () => authorByFeed(set, file, context, signal),
  ];
  const missing: string[] = [];
  let away: Reason | null = null;
  for (const way of ways) {
    try {
      const answer = await way();
      if ('by' in answer) return answer.by;
      missing.push(answer.not);
    } catch (error) {
      if (error instanceof TransientError || error instanceof StalledError) away ??= notNow(error);
      // A commit too large to be read is nobody's.
      else if (error instanceof InvalidError) missing.push(error.message);
      else throw error;
    }
  }
  return away ?? unapproved(`is not approved: ${missing.join('; ')}`);
}

async function approvedByRule(
  { path, entry, commit, committedAt }: CancelFile,
  tier: Tier,
  context: StoryContext,
  signal: AbortSignal | undefined,
): Promise<Author> {
  const { tips, inForce } = context.world();
  const requirement = context.settings.requirements[tier];
  const subject: ApprovalSubject = {
    path,
    blob: entry.oid,
    tip: tips.tip,
    setBy: { commit, committedAt },
    formulaPath: null,
    approvers: inForce.policy?.policy.approvers ?? [],
    selfApprove: requirement?.selfApprove ?? false,
  };
  const verdicts = await askRules(requirement, context.rules, subject, signal);
  const verdict = combine(requirement, verdicts, { formulaInForce: null });
  if (verdict.kind !== 'allowed') return { not: verdict.message };
  const people = [...new Set(verdict.evidence.map(({ by }) => by))];
  return { by: people.length > 0 ? people.join(', ') : WHOEVER_PUSHES };
}

/** As results name the trust in a place (`trust-branch`): a tier that asks for nobody trusts it too. */
const WHOEVER_PUSHES = 'branch';

/** A committer may claim any time; a wish from the future would be one that came after every end. */
function askedAt({ committedAt }: CancelFile, { clock }: StoryContext): string {
  const now = clock.now();
  return Date.parse(committedAt) > now.getTime() ? now.toISOString() : committedAt;
}

interface Kept {
  readonly at: number;
  readonly verdict: CancelVerdict;
}

const verdicts = new WeakMap<World, Map<string, Kept>>();

function keptIn(world: World): Map<string, Kept> {
  const kept = verdicts.get(world) ?? new Map<string, Kept>();
  verdicts.set(world, kept);
  return kept;
}

const said = new WeakMap<Log, Map<string, string>>();

/** Once for each version of a request and each answer, however often it is judged. */
function sayOnce({ id }: Cancellable, { path, entry }: CancelFile, verdict: CancelVerdict, log: Log): void {
  const lines = said.get(log) ?? new Map<string, string>();
  said.set(log, lines);
  const told = verdict.kind === 'open' ? `${verdict.reason.code} ${verdict.reason.message}` : verdict.kind;
  const text = `${entry.oid} ${told}`;
  if (lines.get(path) === text) return;
  lines.set(path, text);
  if (verdict.kind === 'counts') log.info('a cancel request counts', { id, path, by: verdict.stop.by });
  if (verdict.kind !== 'open') return;
  const { code, message } = verdict.reason;
  log.warn('a cancel request does not count', { id, path, code, reason: message });
}
