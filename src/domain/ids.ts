import { createHash } from 'node:crypto';

/** Names that come from outside are checked once, here, and carry their kind from then on. */
declare const brand: unique symbol;
type Branded<T extends string> = string & { readonly [brand]: T };

/** Id of an action; the stem of its file. */
export type ActionId = Branded<'ActionId'>;
/** Id of a sidecar's run: `sidecar/<formula>-<issue>-<n>`. */
export type SidecarId = Branded<'SidecarId'>;
/** What has attempts, a journal entry and a result. */
export type RunId = ActionId | SidecarId;
/** Git object id, 40 (SHA-1) or 64 (SHA-256) lower-case hex digits. Never abbreviated. */
export type Oid = Branded<'Oid'>;
/** Idempotency token of one attempt: 32 hex digits (formats.md, Journal entry). */
export type AttemptToken = Branded<'AttemptToken'>;

const ID = /^[a-z0-9][a-z0-9._-]{0,127}$/;
const ID_PATTERN_TEXT = '[a-z0-9][a-z0-9._-]{0,127}, not ending in .cancel or .result';
const OID = /^(?:[0-9a-f]{40}|[0-9a-f]{64})$/;
const TOKEN = /^[0-9a-f]{32}$/;

export const actionIdRule = ID_PATTERN_TEXT;

export function isActionId(text: string): text is ActionId {
  return ID.test(text) && !text.endsWith('.cancel') && !text.endsWith('.result');
}

export function isRunId(text: string): text is RunId {
  return isActionId(text) || isSidecarId(text);
}

const SIDECAR_ID = /^sidecar\/([a-z0-9][a-z0-9._-]{0,127})-([1-9]\d{0,8})-([1-9]\d{0,5})$/;

export function isSidecarId(text: string): text is SidecarId {
  return SIDECAR_ID.test(text);
}

/** The `n`-th run of a formula on an issue; `issue` and `n` count from 1. */
export interface SidecarName {
  readonly formula: string;
  readonly issue: number;
  readonly n: number;
}

/** Throws a plain Error: the formula's name and the numbers were checked before. */
export function sidecarId({ formula, issue, n }: SidecarName): SidecarId {
  const id = `sidecar/${formula}-${issue}-${n}`;
  if (isSidecarId(id)) return id;
  throw new Error('not the id of a sidecar');
}

/** What the id of a sidecar says; null: it is none. The last two numbers are issue and n, whatever the formula is named. */
export function sidecarNameOf(id: string): SidecarName | null {
  const [, formula, issue, n] = SIDECAR_ID.exec(id) ?? [];
  return formula === undefined ? null : { formula, issue: Number(issue), n: Number(n) };
}

export function isOid(text: string): text is Oid {
  return OID.test(text);
}

export function isAttemptToken(text: string): text is AttemptToken {
  return TOKEN.test(text);
}

/** Throws a plain Error: an id that git itself printed and that is none is a bug or a damaged cache. */
export function oid(text: string): Oid {
  if (isOid(text)) return text;
  throw new Error('not a git object id');
}

/** What an attempt is of. `repo` is the object id of the branch's first-parent root commit, never a URL. */
export interface AttemptKey {
  readonly repo: Oid;
  readonly id: RunId;
  readonly blob: Oid;
  readonly attempt: number;
}

/** The idempotency token of formats.md: same key, same token, on every host. */
export function attemptToken(key: AttemptKey): AttemptToken {
  const text = `edge-dispatcher/1\n${key.repo}\n${key.id}\n${key.blob}\n${key.attempt}`;
  return createHash('sha256').update(text).digest('hex').slice(0, 32) as AttemptToken;
}

/** Git's own id of these bytes as a blob; `length` of the answer follows the repo's hash (40: SHA-1, 64: SHA-256). */
export function blobOid(bytes: Uint8Array, hash: 'sha1' | 'sha256' = 'sha1'): Oid {
  return oid(createHash(hash).update(`blob ${bytes.length}\0`).update(bytes).digest('hex'));
}

export function sha256(bytes: Uint8Array | string): string {
  return createHash('sha256').update(bytes).digest('hex');
}
