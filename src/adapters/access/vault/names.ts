import { isIPv6, SocketAddress } from 'node:net';
import { secretPolicy } from '../../../domain/grant-policies.ts';
import type { VaultOptions } from './options.ts';

type Places = Pick<VaultOptions, 'kv_mount' | 'secret_path' | 'role'>;

const NAME = /^[A-Z][A-Z0-9_]{0,63}$/;

/** Names are of one case, so no two of them can share a policy, whose names the server lower-cases. */
export const isSecretName = (name: string): boolean => NAME.test(name);

/** Folder of all secrets, below the mount. */
const folderOf = ({ secret_path }: Places): string => secret_path.replace(/\/\{name\}$/, '');
const pathOf = ({ secret_path }: Places, name: string): string => secret_path.replace('{name}', () => name);

export const dataPath = (places: Places, name: string): string => `${places.kv_mount}/data/${pathOf(places, name)}`;
export const metadataPath = (places: Places, name: string): string =>
  `${places.kv_mount}/metadata/${pathOf(places, name)}`;
export const subkeysPath = (places: Places, name: string): string =>
  `${places.kv_mount}/subkeys/${pathOf(places, name)}`;
export const metadataFolder = (places: Places): string => `${places.kv_mount}/metadata/${folderOf(places)}`;

/** As people look for it: `vault kv get` takes mount, path and field. */
export const placeOfSecret = (options: Places & Pick<VaultOptions, 'field'>, name: string): string =>
  `${options.kv_mount}/${pathOf(options, name)}, field ${options.field}`;

/** Where the role makes tokens: also what a wrapper and a token say of where they come from. */
export const creationPath = ({ role }: Pick<Places, 'role'>): string => `auth/token/create/${role}`;
export const rolePath = ({ role }: Pick<Places, 'role'>): string => `auth/token/roles/${role}`;

/** Where the tasks of sidecars log in by their identity. */
export const loginRolePath = (mount: string, role: string): string => `auth/${mount}/role/${role}`;

/** In the form in which the server tells them. */
export const boundCidrs = ({ bound_cidrs }: Pick<VaultOptions, 'bound_cidrs'>): readonly string[] =>
  bound_cidrs.map(asTold);

/** One address is no network there, and IPv6 is lower-case and short. */
function asTold(cidr: string): string {
  const [address = '', bits] = cidr.split('/');
  const told = isIPv6(address) ? new SocketAddress({ address, family: 'ipv6' }).address : address;
  return bits === undefined || bits === (isIPv6(address) ? '128' : '32') ? told : `${told}/${bits}`;
}

/** The server's own form of a name: policies are lower-case there. */
export const policyPath = (policy: string): string => `sys/policies/acl/${policy.toLowerCase()}`;
export const secretPolicyPath = (name: string): string => policyPath(secretPolicy(name));
