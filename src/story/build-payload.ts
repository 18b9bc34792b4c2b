import type { AttemptToken, RunId } from '../domain/ids.ts';
import { type AccessFragment, encodePayload, PAYLOAD_MAX_BYTES, type SidecarWork } from '../domain/payload.ts';
import { InvalidError } from '../errors.ts';
import type { StoryContext } from './context.ts';
import type { ReadAction } from './read-action.ts';

/** One attempt at one action: what names it everywhere. */
export interface AttemptName {
  readonly id: RunId;
  readonly number: number;
  readonly token: AttemptToken;
}

/** The exact bytes that go to the engine. Throws InvalidError (ERR_PAYLOAD_SIZE). */
export function buildPayload(
  read: ReadAction,
  attempt: AttemptName,
  access: { readonly fragment: AccessFragment; readonly trailerKey: string },
  context: StoryContext,
): Buffer {
  const { settings, clock } = context;
  const bytes = encodePayload({
    v: 1,
    id: attempt.id,
    attempt: attempt.number,
    token: attempt.token,
    action: Buffer.from(read.bytes).toString('base64'),
    formula: Buffer.from(read.formula.bytes).toString('base64'),
    blobs: { action: read.candidate.file.entry.oid, formula: read.formula.blob },
    access: access.fragment,
    inputs: { ...read.inputs },
    ...(read.sidecar === null ? {} : { sidecar: workOf(read.sidecar) }),
    agent: read.formula.value.prompt == null ? [] : [...settings.agent],
    limits: { log_bytes: settings.logBytes, artifact_bytes: settings.artifactBytes },
    timeout_seconds: read.timeoutSeconds,
    issued_at: clock.now().toISOString(),
    trailer_key: access.trailerKey,
  });
  if (bytes.length > PAYLOAD_MAX_BYTES) {
    throw new InvalidError(
      'ERR_PAYLOAD_SIZE',
      `action, formula and inputs make a payload of ${bytes.length} bytes; at most ${PAYLOAD_MAX_BYTES} can be sent`,
    );
  }
  return bytes;
}

function workOf({ repo, issue, url, project }: SidecarWork): SidecarWork {
  return { repo, issue, url, project };
}

/**
 * A fragment of the size that the real one will have, made of digits that do not compress: too large is found before
 * anything is minted.
 */
export function sizedFragment(read: ReadAction, context: StoryContext): AccessFragment {
  const secrets: Record<string, { path: string; field: string }> = {};
  for (const name of read.action.secrets) {
    secrets[name] = { path: `${context.clock.key()}${context.clock.key()}/${name}`, field: 'value' };
  }
  return {
    kind: context.access.kind,
    address: context.clock.key(),
    namespace: '',
    wrapping_token: `${context.clock.key()}${context.clock.key()}`,
    creation_path: 'auth/token/create/edge-run',
    wrap_expires_at: context.clock.now().toISOString(),
    secrets,
  };
}
