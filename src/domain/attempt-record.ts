import { z } from 'zod';
import { journalEntrySchema } from './journal.ts';
import { evidenceSchema, sidecarPartSchema } from './result.ts';
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
  /** Earlier attempts, oldest first. */
  attempts: z.array(
    z.strictObject({ number: z.int(), outcome: z.enum(OUTCOMES), exit_code: z.int(), run: z.string().nullable() }),
  ),
  /** Of a sidecar only. */
  sidecar: sidecarPartSchema.optional(),
});
export type AttemptRecord = z.infer<typeof attemptRecordSchema>;
