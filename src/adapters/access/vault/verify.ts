import { isDeepStrictEqual } from 'node:util';
import type { Grant, GrantRequest } from '../../../ports/access.ts';
import { notAsAsked } from './answers.ts';
import { type Capabilities, capabilitiesOf } from './capabilities.ts';
import { fragmentOf, lookUp, policiesOf, type TokenData, tokenMeta, tokenSeconds } from './grants.ts';
import {
  boundCidrs,
  creationPath,
  dataPath,
  metadataFolder,
  metadataPath,
  policyPath,
  rolePath,
  subkeysPath,
} from './names.ts';
import type { VaultOptions } from './options.ts';
import type { Session } from './session.ts';

/** A name that no secret has: lower case. A policy that allows it allows a whole folder. */
export const CANARY = 'no-such-secret';

const LOOK_UP_SELF = 'auth/token/lookup-self';
const REVOKE_SELF = 'auth/token/revoke-self';

/**
 * Compares a minted, still wrapped token with what was asked for, as the store itself describes it and decides on it:
 * a policy that does not exist, or that says more than its name, shows in what the token may do and nowhere else.
 * `catalogue`: all secrets there are. Errors: StalledError for any difference, TransientError while the store is away.
 */
export async function verifyGrant(
  session: Session,
  options: VaultOptions,
  asked: { readonly request: GrantRequest; readonly grant: Grant; readonly catalogue: readonly string[] },
  signal: AbortSignal | undefined,
): Promise<void> {
  const { request, grant, catalogue } = asked;
  const { fragment, accessor, expiresAt } = grant;
  const told = fragmentOf(options, request.secrets, fragment.wrapping_token, expiresAt);
  if (!isDeepStrictEqual(fragment, told)) throw notAsAsked('the payload names other secrets, or another place');
  const found = await lookUp(session, accessor, signal);
  if (found === null) throw notAsAsked('the token is not there any more');
  const wrong = TOKEN_RULES.find(([, holds]) => !holds(found, request, options));
  if (wrong !== undefined) throw notAsAsked(wrong[0]);
  const others = catalogue.filter((name) => !request.secrets.includes(name));
  const paths = pathsToAsk(options, request.secrets, others);
  const capabilities = await capabilitiesOf(session, accessor, paths, signal);
  compareCapabilities(options, request.secrets, others, capabilities);
}

type TokenRule = readonly [wrong: string, holds: (token: TokenData, to: GrantRequest, by: VaultOptions) => boolean];

const TOKEN_RULES: readonly TokenRule[] = [
  ['its policies are not those asked for', (token, { secrets }) => sameSet(token.policies, policiesOf(secrets))],
  ['it has policies of an identity', ({ identity_policies, entity_id }) => !identity_policies?.length && !entity_id],
  ['it is not of our role', ({ path }, _, options) => path === creationPath(options)],
  ['it is not an orphan: it would end with our own token', ({ orphan }) => orphan],
  ['it can be renewed', ({ renewable }) => renewable !== true],
  ['it is no service token without count', ({ type, num_uses }) => type === 'service' && num_uses === 0],
  [
    'it is of another attempt, or of other bytes',
    ({ meta }, request) => isDeepStrictEqual({ ...meta }, tokenMeta(request)),
  ],
  ['it lives longer than asked for', ({ creation_ttl }, { wrapSeconds }) => creation_ttl <= tokenSeconds(wrapSeconds)],
  ['it lives shorter than its wrapper', ({ creation_ttl }, { wrapSeconds }) => creation_ttl >= wrapSeconds],
  [
    'it is not bound to the addresses of bound_cidrs',
    ({ bound_cidrs }, _, options) => isDeepStrictEqual(bound_cidrs ?? [], boundCidrs(options)),
  ],
  ['it never ends', ({ ttl }) => ttl > 0],
];

/** The server lower-cases names of policies. */
function sameSet(found: readonly string[], asked: readonly string[]): boolean {
  const lower = (names: readonly string[]): ReadonlySet<string> => new Set(names.map((name) => name.toLowerCase()));
  return isDeepStrictEqual(lower(found), lower(asked));
}

/** What makes tokens and rights, by any name. */
export const makersOfRights = (options: VaultOptions): readonly string[] => [
  'auth/token/create',
  'auth/token/create-orphan',
  `auth/token/create/${CANARY}`,
  rolePath(options),
  policyPath(CANARY),
  `sys/policy/${CANARY}`,
  `auth/${options.login.mount}/role/${options.login.role}`,
  'identity/entity',
  `sys/mounts/${CANARY}`,
  `sys/auth/${CANARY}`,
];

function closedPaths(options: VaultOptions, asked: readonly string[]): readonly string[] {
  const canary = [dataPath(options, CANARY), metadataPath(options, CANARY), `${metadataFolder(options)}/`];
  return [
    ...canary,
    `${options.kv_mount}/data/${CANARY}`,
    subkeysPath(options, CANARY),
    creationPath(options),
    ...makersOfRights(options),
    ...asked.map((name) => metadataPath(options, name)),
  ];
}

function pathsToAsk(options: VaultOptions, asked: readonly string[], others: readonly string[]): readonly string[] {
  const data = [...asked, ...others].map((name) => dataPath(options, name));
  return [...data, ...closedPaths(options, asked), LOOK_UP_SELF, REVOKE_SELF];
}

function compareCapabilities(
  options: VaultOptions,
  asked: readonly string[],
  others: readonly string[],
  capabilities: Capabilities,
): void {
  const unlike = (names: readonly string[], capability: string): readonly string[] =>
    names.filter((name) => !capabilities.isOnly(dataPath(options, name), capability));
  const less = unlike(asked, 'read');
  if (less.length > 0) throw notAsAsked(`the token may not just read: ${less.join(', ')}; do their policies exist?`);
  const more = unlike(others, 'deny');
  if (more.length > 0) throw notAsAsked(`the token may also use: ${more.join(', ')}`);
  const open = closedPaths(options, asked).filter((path) => !capabilities.isOnly(path, 'deny'));
  if (open.length > 0) throw notAsAsked(`the token may also use the paths: ${open.join(', ')}`);
  const itself = capabilities.hasAny(LOOK_UP_SELF, ['read']) && capabilities.hasAny(REVOKE_SELF, ['update']);
  if (!itself) throw notAsAsked('the token may not look up and revoke itself; does the policy edge-run exist?');
}
