/*
 * Life signs, and how long their absence has to last before a peer's attempts are taken over. Safety never rests on these
 * figures: the single-use wrapper and the revoked accessor see to that (docs/hand-over.md, with the arithmetic).
 *
 *   RENEW_MS         a holder of entries writes one sign in so much time
 *   SILENCE_MS       so long nothing of a peer changed, by the reader's own monotonic clock: six signs are missing
 *   LONGEST_STEP_MS  what lies between two looks of the reader counts for so much at most, so that a reader that was
 *                    stopped itself needs several looks, spread over time, before it may call anybody silent
 *   FRESH_MS         an older reading of the journal is no ground to send, stop or record anything
 */
export const RENEW_MS = 20_000;
export const SILENCE_MS = 6 * RENEW_MS;
export const LONGEST_STEP_MS = 30_000;
export const FRESH_MS = 30_000;

/** A value that changes with each sign. No reader compares it with a clock of its own. */
export const leaseUntil = (now: Date): string => new Date(now.getTime() + SILENCE_MS).toISOString();

/** When the sign was given, by the clock of who gave it; for people. */
export const signedAt = (lease: string): string => new Date(Date.parse(lease) - SILENCE_MS).toISOString();
