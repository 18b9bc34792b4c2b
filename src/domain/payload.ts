import { gunzipSync, gzipSync } from 'node:zlib';
import { z } from 'zod';

/** What the runner gets (formats.md, Dispatch): gzipped JSON of at most 16 KiB as sent. */
export const PAYLOAD_MAX_BYTES = 16_384;

const base64 = z.base64();
const objectId = z.string().regex(/^(?:[0-9a-f]{40}|[0-9a-f]{64})$/);

const accessFragmentSchema = z.strictObject({
  kind: z.string().min(1),
  /** `file`: the ticket directory. `vault`: the server's address. */
  address: z.string().min(1),
  namespace: z.string(),
  /** Single use: whoever redeems it first has it; everybody else gets nothing. */
  wrapping_token: z.string().min(1),
  creation_path: z.string().min(1),
  wrap_expires_at: z.iso.datetime(),
  secrets: z.record(z.string(), z.strictObject({ path: z.string().min(1), field: z.string() })),
});
export type AccessFragment = z.infer<typeof accessFragmentSchema>;

/** What a sidecar works on. */
const sidecarWorkSchema = z.strictObject({
  /** `owner/name` on the forge. */
  repo: z.string().min(1),
  issue: z.int().min(1),
  /** The issue's page. */
  url: z.string(),
  /** Path of the project file in the ops repo. */
  project: z.string().min(1),
});
export type SidecarWork = z.infer<typeof sidecarWorkSchema>;

export const payloadSchema = z.strictObject({
  v: z.literal(1),
  id: z.string().min(1),
  attempt: z.int().min(1),
  token: z.string().regex(/^[0-9a-f]{32}$/),
  /** The approved bytes themselves. */
  action: base64,
  formula: base64,
  blobs: z.strictObject({ action: objectId, formula: objectId }),
  access: accessFragmentSchema,
  inputs: z.record(z.string(), z.union([z.string(), z.number(), z.boolean()])),
  /** Of a sidecar, whose `action` holds the bytes of the project file. Absent: an action. */
  sidecar: sidecarWorkSchema.optional(),
  /** argv of the operator's agent command; used by prompt formulas only. */
  agent: z.array(z.string()),
  limits: z.strictObject({ log_bytes: z.int().min(0), artifact_bytes: z.int().min(0) }),
  timeout_seconds: z.int().min(1),
  issued_at: z.iso.datetime(),
  /** 32 bytes, hex: key of the trailer's HMAC. */
  trailer_key: z.string().regex(/^[0-9a-f]{64}$/),
});
export type Payload = z.infer<typeof payloadSchema>;

/** The bytes as sent. Their length may exceed PAYLOAD_MAX_BYTES: the caller checks before anything is minted. */
export function encodePayload(payload: Payload): Buffer {
  return gzipSync(JSON.stringify(payload));
}

/** Throws a plain Error without a quote of the content (it holds the wrapping token). */
export function decodePayload(bytes: Uint8Array): Payload {
  let json: unknown;
  try {
    json = JSON.parse(gunzipSync(bytes, { maxOutputLength: 1 << 20 }).toString('utf8'));
  } catch {
    throw new Error('the payload is no gzipped JSON');
  }
  const parsed = payloadSchema.safeParse(json);
  if (parsed.success) return parsed.data;
  const places = parsed.error.issues.map((issue) => issue.path.join('.') || '(root)');
  throw new Error(`the payload does not fit its schema at: ${places.join(', ')}`);
}
