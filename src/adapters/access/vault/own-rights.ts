import type { SidecarJob } from '../../../domain/config-sidecar.ts';
import { BASE_POLICY } from '../../../domain/grant-policies.ts';
import type { Capabilities } from './capabilities.ts';
import {
  creationPath,
  dataPath,
  loginRolePath,
  metadataFolder,
  metadataPath,
  policyPath,
  secretPolicyPath,
} from './names.ts';
import type { VaultOptions } from './options.ts';
import { CANARY, makersOfRights } from './verify.ts';

/** What service-dispatcher.hcl gives, and the daemon can't do without. */
export function neededRights(options: VaultOptions): readonly (readonly [path: string, right: string])[] {
  return [
    [creationPath(options), 'update'],
    ['auth/token/lookup-accessor', 'update'],
    ['auth/token/revoke-accessor', 'update'],
    ['sys/capabilities-accessor', 'update'],
    [`${metadataFolder(options)}/`, 'list'],
  ];
}

interface Forbidden {
  /** Values of secrets: may not be touched at all. */
  readonly values: readonly string[];
  /** What would give the daemon other rights than its own: may be read, since the role has to be, and not written. */
  readonly rights: readonly string[];
}

export function forbiddenPaths(
  options: VaultOptions,
  catalogue: readonly string[],
  sidecar: SidecarJob | null,
): Forbidden {
  const { kv_mount: mount } = options;
  const botToken = sidecar?.bot_token_path ?? null;
  return {
    values: [
      ...[...catalogue, CANARY].map((name) => dataPath(options, name)),
      `${mount}/data/${CANARY}`,
      ...(botToken === null ? [] : [botToken]),
    ],
    rights: [
      ...makersOfRights(options),
      metadataPath(options, CANARY),
      ...['delete', 'undelete', 'destroy'].map((verb) => dataPath(options, CANARY).replace('/data/', `/${verb}/`)),
      `${creationPath(options)}-other`,
      policyPath(BASE_POLICY),
      secretPolicyPath(CANARY),
      'sys/policies/acl/service-dispatcher',
      ...(sidecar === null
        ? []
        : [policyPath(sidecar.vault_role), loginRolePath(sidecar.auth_mount, sidecar.vault_role)]),
    ],
  };
}

const WRITES = ['create', 'update', 'patch', 'delete', 'sudo'];

/** What of it may be used all the same. */
export function excessOf({ values, rights }: Forbidden, found: Capabilities): readonly string[] {
  return [
    ...values.filter((path) => !found.isOnly(path, 'deny')),
    ...rights.filter((path) => found.hasAny(path, WRITES)),
  ];
}
