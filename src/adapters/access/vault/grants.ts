import { z } from 'zod';
import { BASE_POLICY, secretPolicy, TOKEN_META } from '../../../domain/grant-policies.ts';
import type { AttemptToken } from '../../../domain/ids.ts';
import type { AccessFragment } from '../../../domain/payload.ts';
import type { Grant, GrantRequest } from '../../../ports/access.ts';
import { failure, notAsAsked, says } from './answers.ts';
import { type Answer, expectOk } from './client.ts';
import { creationPath, dataPath, isSecretName } from './names.ts';
import type { VaultOptions } from './options.ts';
import type { Session } from './session.ts';

/** How much longer than its wrapper a token lives: the runner reads and revokes before it starts anything. */
const AFTER_WRAPPER_SECONDS = 120;

export const tokenSeconds = (wrapSeconds: number): number => wrapSeconds + AFTER_WRAPPER_SECONDS;

/** What the token itself says of its purpose; the runner compares it with its payload. All values are strings. */
export const tokenMeta = (request: GrantRequest): Readonly<Record<string, string>> => ({
  [TOKEN_META.attempt]: request.token,
  [TOKEN_META.action]: request.blobs.action,
  [TOKEN_META.formula]: request.blobs.formula,
  // For who reads the audit log.
  id: request.id,
  attempt: String(request.attempt),
});

export const policiesOf = (secrets: readonly string[]): readonly string[] =>
  [BASE_POLICY, ...secrets.map(secretPolicy)].sort();

const wrapInfo = z.object({
  token: z.string().min(1),
  ttl: z.int(),
  creation_time: z.string(),
  creation_path: z.string(),
  wrapped_accessor: z.string().min(1),
});
const minted = z.object({ wrap_info: wrapInfo });
const unwrapped = z.object({ auth: z.object({ accessor: z.string().min(1) }) });

/** Mints a wrapped token of exactly these policies. Errors as of the port. */
export async function mint(
  session: Session,
  options: VaultOptions,
  request: GrantRequest,
  signal: AbortSignal | undefined,
): Promise<Grant> {
  const strange = request.secrets.find((name) => !isSecretName(name));
  if (strange !== undefined) throw notAsAsked(`not a name of a secret: ${JSON.stringify(strange)}`);
  const answer = await session.send({
    doing: 'mint a token',
    method: 'POST',
    path: creationPath(options),
    headers: { 'X-Vault-Wrap-TTL': `${request.wrapSeconds}s` },
    body: tokenRequest(request),
    signal,
  });
  const wrapper = await readWrapper(session, answer);
  const issued = new Date(wrapper.creation_time);
  const sound =
    wrapper.creation_path === creationPath(options) &&
    wrapper.ttl === request.wrapSeconds &&
    !Number.isNaN(issued.getTime());
  if (!sound) {
    await takeBack(session, wrapper.wrapped_accessor);
    throw notAsAsked('the wrapper is not of our role, or lives longer or shorter');
  }
  const expiresAt = new Date(issued.getTime() + wrapper.ttl * 1000).toISOString();
  return {
    fragment: fragmentOf(options, request.secrets, wrapper.token, expiresAt),
    accessor: wrapper.wrapped_accessor,
    policies: policiesOf(request.secrets),
    issuedAt: issued.toISOString(),
    expiresAt,
  };
}

/** The policies are always named: a role gives all that it may to a request without any. */
function tokenRequest(request: GrantRequest): Readonly<Record<string, unknown>> {
  const life = `${tokenSeconds(request.wrapSeconds)}s`;
  return {
    policies: policiesOf(request.secrets),
    ttl: life,
    explicit_max_ttl: life,
    renewable: false,
    no_default_policy: true,
    meta: tokenMeta(request),
    display_name: `edge-run-${request.token}`,
  };
}

/** The warnings of the answer are not looked at: a wrapped one has none, and those that others have are harmless. */
async function readWrapper(session: Session, answer: Answer): Promise<z.infer<typeof wrapInfo>> {
  const { kind, body, status } = answer;
  if (kind === 'refused') throw refusedMint(body, status);
  const naked = unwrapped.safeParse(body).data;
  if (kind === 'ok' && naked !== undefined) {
    await takeBack(session, naked.auth.accessor);
    throw notAsAsked('the token came without its wrapper');
  }
  return expectOk(answer, 'mint a token', minted).wrap_info;
}

/** The ways in which the role of itself refuses; the server's texts name policies only, but stay here all the same. */
function refusedMint(body: unknown, status: number): Error {
  if (says(body, 'unknown role')) return notAsAsked('there is no such role in the secret store');
  const notAllowed = says(body, 'must be subset of') || says(body, 'disallowed by this role');
  if (notAllowed) return notAsAsked('the role does not allow these policies');
  return failure('refused', 'mint a token', { mark: status });
}

/** As well as can be: it is never used, nobody else knows it, and it ends by itself. */
async function takeBack(session: Session, accessor: string): Promise<void> {
  const doing = 'take back a token';
  const path = 'auth/token/revoke-accessor';
  await session.send({ doing, method: 'POST', path, body: { accessor } }).catch(() => undefined);
}

export function fragmentOf(
  options: VaultOptions,
  secrets: readonly string[],
  wrapper: string,
  expiresAt: string,
): AccessFragment {
  const fields = secrets.map((name) => [name, { path: dataPath(options, name), field: options.field }] as const);
  return {
    kind: 'vault',
    address: options.address,
    namespace: options.namespace,
    wrapping_token: wrapper,
    creation_path: creationPath(options),
    wrap_expires_at: expiresAt,
    secrets: Object.fromEntries(fields),
  };
}

const tokenData = z.object({
  policies: z.array(z.string()),
  identity_policies: z.array(z.string()).nullish(),
  path: z.string(),
  orphan: z.boolean(),
  renewable: z.boolean().optional(),
  type: z.string(),
  num_uses: z.number(),
  entity_id: z.string().optional(),
  creation_ttl: z.number(),
  ttl: z.number(),
  bound_cidrs: z.array(z.string()).nullish(),
  meta: z.record(z.string(), z.string()).nullish(),
});
export type TokenData = z.infer<typeof tokenData>;

/** What a token is, by its accessor; null: there is no such token (any more). */
export async function lookUp(
  session: Session,
  accessor: string,
  signal: AbortSignal | undefined,
): Promise<TokenData | null> {
  const doing = 'look up the token of a run';
  const path = 'auth/token/lookup-accessor';
  const answer = await session.send({ doing, method: 'POST', path, body: { accessor }, signal });
  // 400 of OpenBao, 403 of some versions of HashiCorp Vault: the words are the same.
  if (answer.kind !== 'ok' && says(answer.body, 'invalid accessor')) return null;
  return expectOk(answer, doing, z.object({ data: tokenData })).data;
}

/** Revokes what the accessor names, if our role made it for this attempt; gone already is fine. Errors as of the port. */
export async function revoke(
  session: Session,
  options: VaultOptions,
  named: { readonly accessor: string; readonly token: AttemptToken },
  signal: AbortSignal | undefined,
): Promise<void> {
  const { accessor, token } = named;
  const found = await lookUp(session, accessor, signal);
  if (found === null) return;
  // With a path_suffix that the role got meanwhile it is still of our role, and the more to be revoked.
  if (!`${found.path}/`.startsWith(`${creationPath(options)}/`)) throw notAsAsked('its token is not of our role');
  if (found.meta?.[TOKEN_META.attempt] !== token) throw notAsAsked('it is of another attempt');
  const doing = 'revoke the token of a run';
  const path = 'auth/token/revoke-accessor';
  expectOk(await session.send({ doing, method: 'POST', path, body: { accessor }, signal }), doing, z.unknown());
}
