import { BASE_POLICY } from '../../../domain/grant-policies.ts';
import type { Capabilities } from './capabilities.ts';
import { creationPath, dataPath, metadataFolder, metadataPath, policyPath, secretPolicyPath } from './names.ts';
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

/** Values of secrets, and what would give the daemon other rights than its own. */
export function excessPaths(options: VaultOptions, catalogue: readonly string[]): readonly string[] {
  const { kv_mount: mount } = options;
  return [
    ...[...catalogue, CANARY].map((name) => dataPath(options, name)),
    `${mount}/data/${CANARY}`,
    ...makersOfRights(options),
    metadataPath(options, CANARY),
    ...['delete', 'undelete', 'destroy'].map((verb) => dataPath(options, CANARY).replace('/data/', `/${verb}/`)),
    `${creationPath(options)}-other`,
    policyPath(BASE_POLICY),
    secretPolicyPath(CANARY),
    'sys/policies/acl/service-dispatcher',
  ];
}

const WRITES = ['create', 'update', 'patch', 'delete', 'sudo'];

/** Values may not be touched at all; what makes rights may be read, since the role has to be. */
export function isExcess(options: VaultOptions, path: string, found: Capabilities): boolean {
  const isValue = path.startsWith(`${options.kv_mount}/data/`);
  return isValue ? !found.isOnly(path, 'deny') : found.hasAny(path, WRITES);
}
