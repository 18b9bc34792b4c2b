import { createHmac, timingSafeEqual } from 'node:crypto';
import { z } from 'zod';

/** The runner's last words on stderr (formats.md, Trailer). */
const MARK = '\n::edge-trailer ';
/** Longest trailer looked for: artifacts are capped at 1,000 with paths of at most 255 bytes. */
export const TRAILER_MAX_BYTES = 512 * 1024;

const streamSchema = z.strictObject({ bytes: z.int().min(0), sha256: z.string(), cut: z.boolean() });

export const RUNNER_REASONS = [
  'ERR_PAYLOAD',
  'ERR_SECRET_MISSING',
  'ERR_SECRET_EMPTY',
  'ERR_SECRET_DENIED',
  'ERR_SECRET_UNMASKABLE',
  'ERR_VAULT_UNAVAILABLE',
  'ERR_WRAPPER_USED',
  'ERR_WRAPPER_EXPIRED',
  'ERR_DIGEST',
  'ERR_DEADLINE',
  'ERR_COMMAND_NOT_FOUND',
  'ERR_RUNNER',
] as const;
export type RunnerReason = (typeof RUNNER_REASONS)[number];

const trailerSchema = z.strictObject({
  v: z.literal(1),
  /** Exit code of the command, or 128 + signal, or 69 with `reason`. */
  exit: z.int(),
  signal: z.string().nullable(),
  reason: z.enum(RUNNER_REASONS).nullable(),
  started: z.iso.datetime().nullable(),
  finished: z.iso.datetime(),
  digest: z.strictObject({ action: z.string().nullable(), formula: z.string().nullable() }),
  masked: z.record(z.string(), z.int().min(0)),
  stdout: streamSchema,
  stderr: streamSchema,
  artifacts: z.array(
    z.strictObject({
      path: z.string(),
      bytes: z.int().min(0),
      sha256: z.string(),
      /** Why it was not handed over: too large, a secret inside. Absent when it was. */
      withheld: z.string().optional(),
    }),
  ),
});
export type Trailer = z.infer<typeof trailerSchema>;

function macOf(json: string, keyHex: string): Buffer {
  return createHmac('sha256', Buffer.from(keyHex, 'hex')).update(json, 'utf8').digest();
}

/** The exact bytes that end stderr, both newlines included. `keyHex`: 32 bytes as hex. */
export function encodeTrailer(trailer: Trailer, keyHex: string): string {
  const json = JSON.stringify(trailer);
  return `${MARK}${json} ${macOf(json, keyHex).toString('hex')}\n`;
}

export interface SplitStderr {
  /** Bytes of stderr that are the command's own. */
  readonly length: number;
  /** null: none, or not signed with this key; then `length` is all of it. */
  readonly trailer: Trailer | null;
}

/**
 * Looks for a trailer at the very end of `tail`, the last bytes of a stderr of `total` bytes. A forged line (wrong MAC)
 * counts as the command's own output.
 */
export function splitTrailer(tail: Buffer, total: number, keyHex: string): SplitStderr {
  const none: SplitStderr = { length: total, trailer: null };
  const at = tail.lastIndexOf(MARK);
  if (at < 0 || tail.at(-1) !== 0x0a) return none;
  const line = tail.subarray(at + MARK.length, tail.length - 1).toString('utf8');
  const space = line.lastIndexOf(' ');
  const [json, mac] = [line.slice(0, space), line.slice(space + 1)];
  // Nothing may follow the MAC: hex decoding alone would stop at what is no digit.
  if (!MAC.test(mac) || !timingSafeEqual(Buffer.from(mac, 'hex'), macOf(json, keyHex))) return none;
  const parsed = trailerSchema.safeParse(parseJson(json));
  return parsed.success ? { length: total - (tail.length - at), trailer: parsed.data } : none;
}

const MAC = /^[0-9a-f]{64}$/;

/** undefined: it is no JSON. */
function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
