import { z } from 'zod';
import { OUTCOMES } from './run.ts';
import { escapedJson } from './text.ts';
import { TIERS } from './tier.ts';

/** `<id>.result.json` (formats.md, schema 1). A part that does not apply is null, never left out. */
const time = z.iso.datetime();
const text = z.string();
const streamSchema = z.strictObject({
  bytes: z.int().min(0),
  sha256: text,
  complete: z.boolean(),
  uri: text.nullable(),
});

export const evidenceSchema = z.strictObject({
  rule: text,
  /** Name of the approver in policy.toml; of a rule that asks for no person, what is trusted. */
  by: text,
  /** URL or object id of what was approved. */
  what: text,
  commit: text,
  at: time,
});
export type Evidence = z.infer<typeof evidenceSchema>;

/** Of a sidecar: what it worked on. `digest`: `issueDigest` of what it was started for. */
export const sidecarPartSchema = z.strictObject({
  repo: text,
  issue: z.int(),
  url: text,
  project: text,
  digest: text,
});

export const resultSchema = z.strictObject({
  id: text,
  exit_code: z.int(),
  timestamp: time,
  logs: text,
  schema: z.literal(1),
  outcome: z.enum(OUTCOMES),
  reason: z.strictObject({ code: text, message: text, hint: text.nullable(), by: text.nullable() }).nullable(),
  action: z.strictObject({ path: text, blob: text.nullable(), commit: text.nullable(), sha256: text.nullable() }),
  formula: z.strictObject({ name: text, blob: text.nullable(), tier: z.enum(TIERS) }).nullable(),
  approval: z.strictObject({ required: z.array(text), evidence: z.array(evidenceSchema) }).nullable(),
  attempt: z.strictObject({ number: z.int(), token: text, dispatcher: text, executions: z.int() }).nullable(),
  attempts: z.array(
    z.strictObject({ number: z.int(), outcome: z.enum(OUTCOMES), exit_code: z.int(), run: text.nullable() }),
  ),
  run: z
    .strictObject({
      isolated: z.boolean(),
      engine: text,
      id: text,
      node: text.nullable(),
      signal: text.nullable(),
      oom: z.boolean(),
      digest_verified: z.boolean(),
    })
    .nullable(),
  access: z
    .strictObject({
      policies: z.array(text),
      accessor_sha256: text,
      issued_at: time,
      revoked_at: time.nullable(),
    })
    .nullable(),
  output: z.strictObject({ stdout: streamSchema, stderr: streamSchema, masked: z.record(text, z.int()) }).nullable(),
  artifacts: z.array(
    z.strictObject({ path: text, bytes: z.int(), sha256: text, uri: text.nullable(), withheld: text.optional() }),
  ),
  times: z.strictObject({
    committed: time.nullable(),
    approved: time.nullable(),
    dispatched: time.nullable(),
    started: time.nullable(),
    finished: time.nullable(),
    recorded: time,
  }),
  /** Only in results of sidecars. */
  sidecar: sidecarPartSchema.optional(),
});
export type Result = z.infer<typeof resultSchema>;

/** Bytes of `logs` at most (formats.md). */
export const LOG_EXCERPT_BYTES = 4096;

/** Stable key order (that of the schema), two-space indent, final newline; hidden characters only as escapes. */
export function encodeResult(result: Result): Buffer {
  return Buffer.from(`${escapedJson(JSON.stringify(resultSchema.parse(result), null, 2))}\n`);
}
