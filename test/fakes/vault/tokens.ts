import { BlockList, isIPv6 } from 'node:net';
import type { Auth } from './answers.ts';
import { randomId, timestamp } from './values.ts';

export interface TokenRecord {
  readonly id: string;
  /** Empty for a batch token. */
  readonly accessor: string;
  /** What tests call it: `root`, `daemon`, `wrapping`, `role:<name>`, `jwt:<role>` or `token`. */
  readonly label: string;
  readonly policies: readonly string[];
  readonly path: string;
  readonly meta: Readonly<Record<string, string>> | null;
  readonly displayName: string;
  readonly createdAt: number;
  /** In seconds; 0: lives for ever. */
  readonly ttl: number;
  readonly explicitMaxTtl: number;
  readonly period: number;
  readonly renewable: boolean;
  readonly orphan: boolean;
  readonly parent: string | null;
  readonly role: string | null;
  readonly type: 'service' | 'batch';
  readonly entityId: string;
  readonly boundCidrs: readonly string[];
  expiresAt: number | null;
  renewedAt: number | null;
  usesLeft: number;
}

export type TokenSpec = Omit<
  TokenRecord,
  'id' | 'accessor' | 'createdAt' | 'expiresAt' | 'renewedAt' | 'usesLeft' | 'entityId'
> & { readonly numUses: number; readonly id?: string; readonly entityId?: string };

/** All live tokens. An expired one is gone at the next look. */
export class Tokens {
  readonly #byId = new Map<string, TokenRecord>();
  readonly #byAccessor = new Map<string, TokenRecord>();
  readonly #children = new Map<string, Set<TokenRecord>>();
  readonly #labels = new Map<string, string>();
  readonly #now: () => number;

  constructor(now: () => number) {
    this.#now = now;
  }

  issue({ numUses, id, entityId = '', ...spec }: TokenSpec): TokenRecord {
    const createdAt = this.#now();
    const isBatch = spec.type === 'batch';
    const token: TokenRecord = {
      ...spec,
      id: id ?? (isBatch ? `b.${randomId(96)}` : `s.${randomId()}`),
      accessor: isBatch ? '' : randomId(),
      entityId,
      createdAt,
      expiresAt: spec.ttl > 0 ? createdAt + spec.ttl * 1000 : null,
      renewedAt: null,
      usesLeft: numUses,
    };
    this.#byId.set(token.id, token);
    if (!isBatch) this.#byAccessor.set(token.accessor, token);
    if (token.parent !== null) {
      const siblings = this.#children.get(token.parent) ?? new Set();
      this.#children.set(token.parent, siblings.add(token));
    }
    this.#labels.set(token.id, token.label);
    return token;
  }

  find(id: string): TokenRecord | undefined {
    const token = this.#byId.get(id);
    if (token === undefined || this.#isLive(token)) return token;
    this.revoke(token);
    return undefined;
  }

  byAccessor(accessor: string): TokenRecord | undefined {
    const token = this.#byAccessor.get(accessor);
    return token && this.find(token.id);
  }

  /** Of a token that is gone too; undefined: it never was one. */
  labelOf(id: string): string | undefined {
    return this.#labels.get(id);
  }

  live(): TokenRecord[] {
    return [...this.#byId.values()].filter((token) => this.#isLive(token));
  }

  /** Takes one use of a token that has few; the last use ends it. */
  use(token: TokenRecord): void {
    if (token.usesLeft === 0) return;
    token.usesLeft -= 1;
    if (token.usesLeft === 0) this.revoke(token);
  }

  /** With its children. */
  revoke(token: TokenRecord): void {
    this.#byId.delete(token.id);
    this.#byAccessor.delete(token.accessor);
    for (const child of this.#children.get(token.id) ?? []) this.revoke(child);
    this.#children.delete(token.id);
    if (token.parent !== null) this.#children.get(token.parent)?.delete(token);
  }

  #isLive(token: TokenRecord): boolean {
    return token.expiresAt === null || this.#now() < token.expiresAt;
  }
}

export function mayComeFrom(token: TokenRecord, remote: string): boolean {
  if (token.boundCidrs.length === 0) return true;
  const list = new BlockList();
  for (const cidr of token.boundCidrs) {
    const [network = '', bits] = cidr.split('/');
    const family = isIPv6(network) ? 'ipv6' : 'ipv4';
    list.addSubnet(network, bits === undefined ? (family === 'ipv6' ? 128 : 32) : Number(bits), family);
  }
  return list.check(remote, isIPv6(remote) ? 'ipv6' : 'ipv4');
}

/** Seconds that are left, as the server rounds them. */
function ttlOf(token: TokenRecord, now: number): number {
  return token.expiresAt === null ? 0 : Math.floor((token.expiresAt - now) / 1000);
}

export function authOf(token: TokenRecord, leaseSeconds = token.ttl): Auth {
  return {
    client_token: token.id,
    accessor: token.accessor,
    policies: token.policies,
    token_policies: token.policies,
    metadata: token.meta,
    lease_duration: leaseSeconds,
    renewable: token.renewable,
    entity_id: token.entityId,
    token_type: token.type,
    orphan: token.orphan,
    mfa_requirement: null,
    num_uses: token.usesLeft,
  };
}

/** As lookup, lookup-self and lookup-accessor show it; by accessor the id stays hidden. */
export function lookupOf(token: TokenRecord, now: number, shownId: string): Readonly<Record<string, unknown>> {
  const { expiresAt, renewedAt } = token;
  const endless = expiresAt === null;
  return {
    accessor: token.accessor,
    ...(token.boundCidrs.length > 0 ? { bound_cidrs: token.boundCidrs } : {}),
    creation_time: Math.floor(token.createdAt / 1000),
    creation_ttl: token.ttl,
    display_name: token.displayName,
    entity_id: token.entityId,
    expire_time: endless ? null : timestamp(expiresAt),
    explicit_max_ttl: token.explicitMaxTtl,
    id: shownId,
    ...(endless ? {} : { issue_time: timestamp(token.createdAt) }),
    ...(renewedAt === null
      ? {}
      : { last_renewal: timestamp(renewedAt), last_renewal_time: Math.floor(renewedAt / 1000) }),
    meta: token.meta,
    num_uses: token.usesLeft,
    orphan: token.orphan,
    path: token.path,
    ...(token.period > 0 ? { period: token.period } : {}),
    policies: token.policies,
    ...(endless ? {} : { renewable: token.renewable }),
    ...(token.role === null ? {} : { role: token.role }),
    ttl: ttlOf(token, now),
    type: token.type,
  };
}
