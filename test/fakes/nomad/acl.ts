import { randomUUID } from 'node:crypto';

/** Tokens, policies and what they allow. */

export interface TokenOptions {
  readonly type?: 'management' | 'client';
  readonly policies?: readonly string[];
  readonly name?: string;
  readonly isExpired?: boolean;
}

export interface AclPolicy {
  readonly Name: string;
  readonly Description: string;
  readonly Rules: string;
  readonly CreateIndex: number;
  readonly ModifyIndex: number;
}

export interface AclToken {
  readonly AccessorID: string;
  readonly SecretID: string;
  readonly Name: string;
  readonly Type: 'management' | 'client';
  readonly Policies: readonly string[] | null;
  readonly isExpired: boolean;
}

/** What the sender of a request may do. `known` is false for an unknown token, a malformed or an expired one. */
export interface Rights {
  readonly token: AclToken | null;
  readonly problem: 'none' | 'unknown' | 'expired' | 'absent';
  readonly isManagement: boolean;
  /** In this namespace; `*` of a rule is every namespace. */
  has(capability: string, namespace: string): boolean;
  /** Any right at all in it. */
  sees(namespace: string): boolean;
  /** `node`, `agent` or `operator` at `read` or more. */
  reads(what: 'node' | 'agent' | 'operator'): boolean;
}

interface Grant {
  readonly name: string;
  readonly capabilities: readonly string[];
}

const READ = ['list-jobs', 'parse-job', 'read-job', 'csi-list-volume', 'csi-read-volume', 'list-scaling-policies'];
const WRITE = [
  ...READ,
  'submit-job',
  'dispatch-job',
  'read-logs',
  'read-fs',
  'alloc-exec',
  'alloc-lifecycle',
  'scale-job',
];

export class Acl {
  readonly enabled: boolean;
  readonly policies = new Map<string, AclPolicy>();
  readonly #tokens = new Map<string, AclToken>();

  constructor(enabled: boolean) {
    this.enabled = enabled;
  }

  addToken(secret: string, { type = 'client', policies = [], name = '', isExpired = false }: TokenOptions): void {
    this.#tokens.set(secret, {
      AccessorID: this.#tokens.get(secret)?.AccessorID ?? randomUUID(),
      SecretID: secret,
      Name: name,
      Type: type,
      Policies: type === 'management' ? null : policies,
      isExpired,
    });
  }

  /** It is unknown from now on. */
  deleteToken(secret: string): void {
    this.#tokens.delete(secret);
  }

  putPolicy(name: string, rules: string, description: string, index: number): void {
    const CreateIndex = this.policies.get(name)?.CreateIndex ?? index;
    this.policies.set(name, {
      Name: name,
      Description: description,
      Rules: rules,
      CreateIndex,
      ModifyIndex: index,
    });
  }

  /** Without a token the policy `anonymous` counts, where there is one. */
  rightsOf(secret: string): Rights {
    if (!this.enabled) return all(null);
    const token = this.#tokens.get(secret) ?? null;
    if (secret === '') return this.#granted(null, this.policies.has('anonymous') ? ['anonymous'] : null, 'absent');
    if (token === null) return this.#granted(null, null, 'unknown');
    if (token.isExpired) return this.#granted(null, null, 'expired');
    return token.Type === 'management' ? all(token) : this.#granted(token, token.Policies, 'none');
  }

  #granted(token: AclToken | null, policies: readonly string[] | null, problem: Rights['problem']): Rights {
    const rules = (policies ?? []).map((name) => this.policies.get(name)?.Rules ?? '');
    const grants = rules.flatMap((text) => grantsOf(text));
    const of = (namespace: string) => grants.filter(({ name }) => name === namespace || name === '*');
    return {
      token,
      problem,
      isManagement: false,
      has: (capability, namespace) => of(namespace).some(({ capabilities }) => capabilities.includes(capability)),
      sees: (namespace) => of(namespace).some(({ capabilities }) => capabilities.length > 0),
      reads: (what) =>
        rules.some((text) => new RegExp(`\\b${what}\\s*\\{[^}]*policy\\s*=\\s*"(read|write)"`).test(text)),
    };
  }
}

function all(token: AclToken | null): Rights {
  return {
    token,
    problem: 'none',
    isManagement: true,
    has: () => true,
    sees: () => true,
    reads: () => true,
  };
}

/** The namespace blocks of a policy, as far as the project writes them. */
export function grantsOf(rules: string): readonly Grant[] {
  const blocks = rules.matchAll(/namespace\s+"([^"]+)"\s*\{([^}]*)\}/g);
  return [...blocks].map(([, name = '', body = '']) => {
    const listed = /capabilities\s*=\s*\[([^\]]*)\]/.exec(body)?.[1] ?? '';
    const named = [...listed.matchAll(/"([^"]+)"/g)].map(([, capability = '']) => capability);
    const policy = /policy\s*=\s*"(\w+)"/.exec(body)?.[1];
    const ofPolicy = policy === 'write' ? WRITE : policy === 'read' ? READ : [];
    return { name, capabilities: [...ofPolicy, ...named] };
  });
}
