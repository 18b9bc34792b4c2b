import { z } from 'zod';
import { sha256 } from './ids.ts';
import { sidecarPartSchema } from './result.ts';

/** Entries and tombstones of `refs/dispatcher/journal` (formats.md). A claim, never evidence. */
const objectId = z.string().regex(/^(?:[0-9a-f]{40}|[0-9a-f]{64})$/);
const token = z.string().regex(/^[0-9a-f]{32}$/);
const time = z.iso.datetime();
/** Of an action, or of a sidecar's run (formats.md). Anybody who may push there may have written it. */
const id = z.string().regex(/^(?:sidecar\/)?[a-z0-9][a-z0-9._-]{0,280}$/);

export const journalEntrySchema = z.strictObject({
  id,
  blob: objectId,
  formula_blob: objectId,
  attempt: z.int().min(1),
  token,
  /** Configured name of the dispatcher that claimed it. */
  dispatcher: z.string().min(1),
  /** Random per start of that dispatcher: fences an older process of the same name. */
  instance: z.string().min(1),
  claimed_at: time,
  timeout_seconds: z.int().min(1),
  state: z.enum(['claimed', 'dispatched', 'running']),
  engine: z.string().min(1),
  /** Concurrency group, null for none. */
  group: z.string().nullable(),
  /** Changes with each sign of life of a holder that has peers; absent: never taken over for its silence. */
  lease_until: time.optional(),
  /** Name of the dispatcher that it was taken over from. */
  taken_from: z.string().min(1).optional(),
  payload_sha256: z.string().regex(/^[0-9a-f]{64}$/),
  run_id: z.string().optional(),
  accessors: z.array(z.string()),
  /** Of a sidecar: what its result has to say where the note of it is lost. */
  sidecar: sidecarPartSchema.optional(),
});
export type JournalEntry = z.infer<typeof journalEntrySchema>;

/** Instance of what `doctor --take-over` gave to a dispatcher: the process that runs under that name adopts it. */
export const AWAITS_ADOPTION = 'awaits-adoption';

/** Another process of our name has it: that one goes on with it, and we start nothing more. */
export function isFenced(
  entry: JournalEntry,
  own: { readonly dispatcher: string; readonly instance: string },
): boolean {
  const { dispatcher, instance } = entry;
  return dispatcher === own.dispatcher && instance !== own.instance && instance !== AWAITS_ADOPTION;
}

export const tombstoneSchema = z.strictObject({
  id,
  token,
  ended_at: time,
  group: z.string().nullable().optional(),
  /** Of `lost` and `unknown`: until then it still holds its slot, because something may still be running. */
  held_until: time.optional(),
});
export type Tombstone = z.infer<typeof tombstoneSchema>;

const folder = (id: string) => sha256(id).slice(0, 2);

export const entryPath = (id: string) => `${folder(id)}/${id}.json`;
export const tombstonePath = (id: string) => `ended/${folder(id)}/${id}.json`;

/** The journal deadline of an attempt: when it can be over at the latest (formats.md, Dispatch). */
export function journalDeadline(entry: JournalEntry, placementSeconds: number): Date {
  const margin = 120;
  return new Date(Date.parse(entry.claimed_at) + (placementSeconds + entry.timeout_seconds + margin) * 1000);
}
