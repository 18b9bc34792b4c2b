import { randomBytes } from 'node:crypto';

/** What a stage has of its own on servers that others may use too. */
export interface Names {
  readonly tag: string;
  readonly namespace: string;
  readonly mount: string;
  readonly role: string;
  /** Role and policy of sidecars, where a stage has some. */
  readonly sidecarRole: string;
}

/** A Nomad and a Vault that a stage plays on, real or fake, with what only an administrator may do. */
export interface Services {
  readonly nomad: { readonly address: string; readonly adminToken: string };
  readonly vault: { readonly address: string; readonly adminToken: string };
  /** New ones for each stage. */
  names(): Names;
  /** Another token of the dispatcher itself, with the policy that `deploy` registered. */
  nomadToken(): Promise<string>;
  vaultToken(): Promise<string>;
  /** A KV v2 mount of this name. */
  mountSecrets(mount: string): Promise<void>;
  putSecret(mount: string, path: string, value: string): Promise<void>;
  /** Stops all jobs of the namespace and takes away what was made under these names. Safe to repeat. */
  remove(names: Names): Promise<void>;
}

export interface Given {
  readonly NOMAD_ADDR: string;
  readonly NOMAD_TOKEN: string;
  readonly VAULT_ADDR: string;
  readonly VAULT_TOKEN: string;
}

/** Servers that are there already, by the usual variables; both tokens are an administrator's. */
export function realServices(given: Given): Services {
  const nomad = caller(given.NOMAD_ADDR, { 'X-Nomad-Token': given.NOMAD_TOKEN });
  const vault = caller(given.VAULT_ADDR, { 'X-Vault-Token': given.VAULT_TOKEN });
  return {
    nomad: { address: given.NOMAD_ADDR, adminToken: given.NOMAD_TOKEN },
    vault: { address: given.VAULT_ADDR, adminToken: given.VAULT_TOKEN },
    names() {
      const tag = randomBytes(4).toString('hex');
      return {
        tag,
        namespace: `edge-${tag}`,
        mount: `edge-${tag}`,
        role: `edge-run-${tag}`,
        sidecarRole: `edge-sidecar-${tag}`,
      };
    },
    async nomadToken() {
      const token = { Name: 'stage', Type: 'client', Policies: ['edge-dispatcher'] };
      const minted = await nomad<{ SecretID: string }>('PUT', '/v1/acl/token', token);
      return minted.SecretID;
    },
    async vaultToken() {
      const request = { policies: ['service-dispatcher'], no_parent: true, no_default_policy: true, period: '1h' };
      const created = await vault<{ auth: { client_token: string } }>('POST', '/v1/auth/token/create', request);
      return created.auth.client_token;
    },
    async mountSecrets(mount) {
      await vault('POST', `/v1/sys/mounts/${mount}`, { type: 'kv', options: { version: '2' } });
      await vault('GET', `/v1/${mount}/config`, undefined, PATIENCE);
    },
    async putSecret(mount, path, value) {
      await vault('POST', `/v1/${mount}/data/${path}`, { data: { value } });
    },
    async remove({ namespace, mount, role, sidecarRole }) {
      const jobs = await nomad<readonly { ID: string }[]>('GET', `/v1/jobs?namespace=${namespace}`);
      for (const { ID } of jobs) {
        await nomad('DELETE', `/v1/job/${encodeURIComponent(ID)}?namespace=${namespace}&purge=true`);
      }
      await nomad('DELETE', `/v1/namespace/${namespace}`, undefined, PATIENCE);
      await vault('DELETE', `/v1/sys/mounts/${mount}`);
      await vault('DELETE', `/v1/auth/token/roles/${role}`);
      await vault('DELETE', `/v1/sys/policies/acl/${sidecarRole}`);
      // Without the auth mount there never was one.
      await vault('DELETE', `/v1/auth/jwt-nomad/role/${sidecarRole}`).catch(() => undefined);
    },
  };
}

/** A mount that is being upgraded and a namespace whose jobs are just going answer later. */
const PATIENCE = 50;

function caller(address: string, headers: Readonly<Record<string, string>>) {
  return async function call<T = unknown>(method: string, path: string, body?: unknown, tries = 1): Promise<T> {
    const response = await fetch(`${address}${path}`, {
      method,
      headers: { ...headers, 'Content-Type': 'application/json' },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    if (response.ok) return (text === '' ? {} : JSON.parse(text)) as T;
    if (tries <= 1) throw new Error(`${method} ${path}: ${response.status} ${text.trim()}`);
    await new Promise((resolve) => setTimeout(resolve, 200));
    return call<T>(method, path, body, tries - 1);
  };
}
