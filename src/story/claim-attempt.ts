import type { AttemptRecord } from '../domain/attempt-record.ts';
import { type AttemptToken, isAttemptToken } from '../domain/ids.ts';
import type { JournalEntry } from '../domain/journal.ts';
import { leaseUntil } from '../domain/lease.ts';
import type { AttemptRef } from '../ports/engine.ts';
import type { ClaimAnswer } from '../ports/journal.ts';
import type { StoryContext } from './context.ts';
import { type Waiting, waiting } from './waiting.ts';

/**
 * Step 4: am I the one who runs attempt n? Answers the record marked as claimed, or why not; then its grant is revoked.
 * Safe to repeat: the same entry is `won` again. An error leaves the record, because the claim may have landed.
 */
export async function claimAttempt(
  record: AttemptRecord,
  limits: { readonly groupLimit: number; readonly replaces: string | null },
  context: StoryContext,
): Promise<AttemptRecord | Waiting> {
  const now = context.clock.now();
  const answer = await context.journal.claim(withSign(record.entry, now, context), { ...limits, now });
  if (answer === 'won') {
    if (limits.replaces !== null) {
      // It never started, but the engine's side may have kept what it said of that.
      if (isAttemptToken(limits.replaces)) await context.engine.forget(limits.replaces);
      await context.records.remove(limits.replaces);
    }
    const claimed = { ...record, claimed: true };
    await context.records.save(claimed);
    return claimed;
  }
  // One that was claimed before is under way: its note is all that this host has of it.
  if (!record.claimed) await dropNote(record, context);
  return lost(answer, record);
}

/** The first sign of life, of a daemon that gives any. */
function withSign(entry: JournalEntry, now: Date, { settings }: StoryContext): JournalEntry {
  return settings.peers.length === 0 ? entry : { ...entry, lease_until: leaseUntil(now) };
}

/** The note first: it must never be used again with a grant that is gone, while a grant without a note ends by itself. */
export async function dropNote(record: AttemptRecord, context: StoryContext): Promise<void> {
  await context.records.remove(record.entry.token);
  await context.access.revoke(record.grant.accessor, tokenOf(record));
}

function lost(answer: Exclude<ClaimAnswer, 'won'>, record: AttemptRecord): Waiting {
  switch (answer) {
    case 'taken':
      return waiting('ERR_CLAIMED_ELSEWHERE', 'another dispatcher has claimed it');
    case 'group-full':
      return waiting('ERR_GROUP', `group ${record.entry.group ?? ''} is full`);
    case 'fenced':
      return waiting('ERR_FENCED', `another process runs under the name ${record.entry.dispatcher}`);
  }
}

/** What the engine knows its run by. */
export function attemptRef(record: AttemptRecord): AttemptRef {
  return { token: tokenOf(record), payloadSha256: record.entry.payload_sha256 };
}

/** The entry's token as the ports want it; it was checked when the record was read. */
export function tokenOf(record: AttemptRecord): AttemptToken {
  if (isAttemptToken(record.entry.token)) return record.entry.token;
  throw new Error('a record with a token that is none');
}
