import { type AttemptToken, sha256 } from '../../../domain/ids.ts';
import { decodePayload } from '../../../domain/payload.ts';
import type { Run } from '../../../domain/run.ts';
import { parseTomlFile } from '../../../domain/toml.ts';
import { StalledError } from '../../../errors.ts';
import type { AttemptRef } from '../../../ports/engine.ts';
import type { ChildJob } from './types.ts';

/** The jobs that are always ours; a formula may name another one. */
const OWN_JOBS = ['vault-runner', 'sidecar'];

/**
 * The run that a child is, if it is ours: its token, the digest of its stored payload and its parent all have to be.
 * `variant`: the parent it was dispatched to, where that is known. Throws StalledError (ERR_FOREIGN_RUN): somebody else
 * dispatched under our token.
 */
export function ownRun(child: ChildJob, attempt: AttemptRef, variant?: string): Run {
  const why = whyForeign(child, attempt, variant);
  if (why === null) return runOf(attempt.token, child.ID);
  throw new StalledError('ERR_FOREIGN_RUN', `${child.ID} stands under the token of this attempt, but ${why}`);
}

/** Of several children under one token (each parent counts for itself) the first one that is ours; null: there is none. */
export function firstOwn(children: readonly ChildJob[], attempt: AttemptRef): Run | null {
  const oldestFirst = children.toSorted((one, two) => one.CreateIndex - two.CreateIndex);
  const own = oldestFirst.find((child) => isOwn(child, attempt)) ?? oldestFirst[0];
  return own === undefined ? null : ownRun(own, attempt);
}

/** As `firstOwn` would answer it. */
export function isOwn(child: ChildJob, attempt: AttemptRef): boolean {
  return whyForeign(child, attempt) === null;
}

const runOf = (token: AttemptToken, id: string): Run => ({ token, id, node: null });

function whyForeign(child: ChildJob, { token, payloadSha256 }: AttemptRef, variant?: string): string | null {
  if (child.DispatchIdempotencyToken !== token) return 'it carries another token';
  const payload = Buffer.from(child.Payload, 'base64');
  if (sha256(payload) !== payloadSha256) return 'its payload is not what was sent';
  const isOurs = variant === undefined ? isOwnParent(child.ParentID, payload) : child.ParentID === variant;
  return isOurs ? null : 'it is of a job that is not ours';
}

function isOwnParent(parent: string, payload: Uint8Array): boolean {
  return [...OWN_JOBS, ...jobOf(payload)].some((job) => parent === job || parent.startsWith(`${job}-`));
}

/** The job that the formula names: the payload is the one we sent, so its word counts. */
function jobOf(payload: Uint8Array): readonly string[] {
  try {
    const formula = Buffer.from(decodePayload(payload).formula, 'base64');
    const parsed = parseTomlFile(formula, 'formula', { maxBytes: formula.length, syntaxCode: 'ERR_FORMULA_SYNTAX' });
    const job = parsed.ok ? parsed.value['job'] : undefined;
    return typeof job === 'string' ? [job] : [];
  } catch {
    return [];
  }
}
