import type { AttemptRecord } from '../domain/attempt-record.ts';
import { isAttemptToken } from '../domain/ids.ts';
import type { JournalEntry } from '../domain/journal.ts';
import { FRESH_MS } from '../domain/lease.ts';
import { TransientError, toError } from '../errors.ts';
import type { JournalView } from '../ports/journal.ts';
import type { Ending, StoryContext } from './context.ts';
import { reason } from './reasons.ts';

/*
 * Is this attempt still ours? A daemon that slept (a stopped process, a suspended machine, a cut network) is in the
 * middle of anything when it wakes up, and somebody else may have gone on with its attempts. Asked before each step after
 * the claim that changes something outside. What is sent between the question and the step all the same executes nothing
 * twice: that is for the single-use wrapper and the revoked accessor to see to (docs/hand-over.md).
 */

export type Standing =
  | { readonly kind: 'ours' }
  /** Its result is recorded, by whomever. */
  | { readonly kind: 'ended' }
  /** Another process of our name has adopted it. */
  | { readonly kind: 'fenced' }
  | { readonly kind: 'taken'; readonly by: string };

/** Not an error of anything: the attempt is in other hands, and its task ends without a result of ours. */
export class HandedOver extends Error {
  readonly standing: Exclude<Standing, { readonly kind: 'ours' }>;

  constructor(standing: HandedOver['standing']) {
    super(`the attempt is ${standing.kind}`);
    this.standing = standing;
  }
}

/** By what is known of the journal now. A journal that knows nothing of the id has lost it: then it is ours still. */
export function standingIn(view: JournalView, { id, token }: JournalEntry, own: StoryContext['settings']): Standing {
  const held = view.entries.get(id);
  if (held === undefined) return { kind: view.ended.get(id)?.token === token ? 'ended' : 'ours' };
  if (held.dispatcher !== own.dispatcher) return { kind: 'taken', by: held.dispatcher };
  return { kind: held.instance === own.instance ? 'ours' : 'fenced' };
}

/** Reads the journal first where what is known of it is old; errors as of reading it. */
export async function standingNow({ entry }: Attempt, { journal, settings }: StoryContext): Promise<Standing> {
  const view = journal.age() > FRESH_MS ? await journal.refresh() : journal.view();
  return standingIn(view, entry, settings);
}

/** Throws HandedOver; and as `standingNow`. */
async function requireOurs(attempt: Attempt, context: StoryContext): Promise<void> {
  const standing = await standingNow(attempt, context);
  if (standing.kind !== 'ours') throw new HandedOver(standing);
}

/** Throws HandedOver where somebody else goes on with it; and as `standingNow`. */
export async function requireNotElsewhere(attempt: Attempt, context: StoryContext): Promise<void> {
  const standing = await standingNow(attempt, context);
  if (standing.kind === 'taken' || standing.kind === 'fenced') throw new HandedOver(standing);
}

/** `requireOurs` where waiting would lose the proof: by what is known when the journal is away. */
export async function requireOursIfKnown(attempt: Attempt, context: StoryContext): Promise<void> {
  try {
    await requireOurs(attempt, context);
  } catch (error) {
    if (!(error instanceof TransientError)) throw error;
    const standing = standingIn(context.journal.view(), attempt.entry, context.settings);
    if (standing.kind !== 'ours') throw new HandedOver(standing);
  }
}

export interface Attempt {
  readonly entry: JournalEntry;
}

/** Does `work` for as long as the attempt is ours; in other hands, it waits like any other of theirs. */
export async function whileOurs(
  attempt: AttemptRecord,
  context: StoryContext,
  work: () => Promise<Ending>,
): Promise<Ending> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof HandedOver)) throw error;
    const { id, attempt: number } = attempt.entry;
    const why = whyLeft(error.standing, context);
    context.log.warn('left an attempt that is not ours any more', { id, attempt: number, reason: why.message });
    if (!knowsOurAccess(attempt, error.standing, context)) await giveUpAccess(attempt, context);
    return { kind: 'waiting', reason: why };
  }
}

/** Whoever goes on with it revokes what its entry names; what a lost entry named, nobody else can. */
function knowsOurAccess(
  { entry }: AttemptRecord,
  { kind }: HandedOver['standing'],
  { journal }: StoryContext,
): boolean {
  const held = journal.view().entries.get(entry.id);
  return kind !== 'ended' && held?.payload_sha256 === entry.payload_sha256;
}

/** As well as can be: it ends by itself. */
async function giveUpAccess({ entry, grant }: AttemptRecord, { access, log }: StoryContext): Promise<void> {
  try {
    if (isAttemptToken(entry.token)) await access.revoke(grant.accessor, entry.token);
  } catch (error) {
    log.warn('the access of an attempt that is not ours any more lives on until its end', {
      id: entry.id,
      err: toError(error),
    });
  }
}

function whyLeft(standing: HandedOver['standing'], { settings }: StoryContext) {
  switch (standing.kind) {
    case 'ended':
      return reason('ERR_ALREADY_RECORDED', 'another dispatcher has ended it');
    case 'fenced':
      return reason('ERR_FENCED', `another process runs under the name ${settings.dispatcher} and goes on with it`);
    case 'taken':
      return reason('ERR_CLAIMED_ELSEWHERE', `${standing.by} has taken it over`);
  }
}
