import { z } from 'zod';
import { journalEntrySchema } from './journal.ts';
import { evidenceSchema, type Result, resultSchema, sidecarPartSchema } from './result.ts';
import { OUTCOMES } from './run.ts';
import { TIERS } from './tier.ts';

/**
 * What this host keeps of an attempt from before its claim until its result is recorded (`runs/<token>.json`, 0600).
 * Losing it makes an unproven attempt `unknown`; it is no cache.
 */
export const attemptRecordSchema = z.strictObject({
  v: z.literal(1),
  entry: journalEntrySchema,
  /** The claim has landed: with the journal gone, this still says that the attempt is ours. */
  claimed: z.boolean(),
  /** The exact request, wrapper included, until the run is known to have started or the wrapper is consumed. */
  request: z
    .strictObject({
      job: z.string(),
      meta: z.record(z.string(), z.string()),
      payload: z.base64(),
    })
    .nullable(),
  /** We consumed the wrapper ourselves: no run of this attempt has started and none can. */
  unstarted: z.boolean(),
  trailer_key: z.string(),
  grant: z.strictObject({
    accessor: z.string(),
    policies: z.array(z.string()),
    issued_at: z.iso.datetime(),
    expires_at: z.iso.datetime(),
    revoked_at: z.iso.datetime().nullable(),
  }),
  action: z.strictObject({
    path: z.string(),
    blob: z.string(),
    /** null here and below: this host's note is lost, and the journal alone does not tell. */
    commit: z.string().nullable(),
    sha256: z.string().nullable(),
    committed_at: z.iso.datetime(),
  }),
  formula: z.strictObject({ name: z.string(), blob: z.string(), tier: z.enum(TIERS) }).nullable(),
  approval: z
    .strictObject({
      required: z.array(z.string()),
      evidence: z.array(evidenceSchema),
      approved_at: z.iso.datetime().nullable(),
    })
    .nullable(),
  dispatched_at: z.iso.datetime().nullable(),
  /** It was sent more than once, because the engine knew no run of it: what came first may have run and be forgotten. */
  dispatched_again: z.boolean().optional(),
  /** Earlier attempts, oldest first. */
  attempts: z.array(
    z.strictObject({ number: z.int(), outcome: z.enum(OUTCOMES), exit_code: z.int(), run: z.string().nullable() }),
  ),
  /** Of a sidecar only. */
  sidecar: sidecarPartSchema.optional(),
  /**
   * The end of the last attempt that ran, where another one is due: this one's own, or, for as long as this one has not
   * ended, that of an earlier one. It is the action's result if no other attempt comes to an end.
   */
  kept: z
    .strictObject({
      result: resultSchema,
      /** The next attempt does not begin before. */
      retry_at: z.iso.datetime(),
      /** How many may run (`retry.attempts` of the action). */
      attempts: z.int(),
    })
    .optional(),
});
export type AttemptRecord = z.infer<typeof attemptRecordSchema>;

/** One that stands between two attempts: nothing of its own runs or can, and an end is kept. */
export type RestingRecord = AttemptRecord & { readonly kept: NonNullable<AttemptRecord['kept']> };

/** Nothing of this attempt runs or ever can, so that the next one may take its place. */
export function isOver(record: AttemptRecord): boolean {
  return record.unstarted || hasEnded(record);
}

export function isResting(record: AttemptRecord): record is RestingRecord {
  return record.kept !== undefined && isOver(record);
}

function hasEnded({ kept, entry }: AttemptRecord): boolean {
  return kept?.result.attempt?.token === entry.token;
}

/** What its next attempt has before it, oldest first: its own earlier ones, and itself. */
export function historyOf(record: AttemptRecord): Result['attempts'] {
  const { attempt: number } = record.entry;
  if (!hasEnded(record) || record.kept === undefined) {
    return [...record.attempts, { number, outcome: 'timed_out', exit_code: 124, run: null }];
  }
  const { outcome, exit_code, run } = record.kept.result;
  return [...record.attempts, { number, outcome, exit_code, run: run?.id ?? null }];
}

/** Of attempts after one whose end is kept: how many there may be, with those that never started. null: no end is kept. */
export function mostAttempts({ kept, attempts, unstarted }: AttemptRecord): number | null {
  if (kept === undefined) return null;
  return kept.attempts + attempts.filter(({ run }) => run === null).length + (unstarted ? 1 : 0);
}
