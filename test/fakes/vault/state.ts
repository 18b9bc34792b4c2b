import { JwtMounts } from './jwt-mounts.ts';
import { KvMount } from './kv-store.ts';
import { Policies } from './policies.ts';
import type { TokenRole } from './token-role.ts';
import { type TokenRecord, Tokens } from './tokens.ts';
import { Wrappers } from './wrappers.ts';

/** What a mint does other than it was asked to, as a wrongly set up server or an evil one would. */
export interface MintKnobs {
  /** Policies that every token of a role gets beyond what was asked. */
  add: string[];
  /** Policies that no token of a role gets, though asked. */
  drop: string[];
  /** Tokens of a role are children of whoever asked. */
  notOrphan: boolean;
}

/** How unwrapping goes wrong. */
export interface WrappingKnobs {
  /** So many of the next unwraps of a consumed wrapper are answered 500 instead of 400, as losers of a race are. */
  losersGet500: number;
  /** revoke-accessor of a wrapper answers 204, and one unwrap still succeeds, as both did at once. */
  revokedStillUnwraps: boolean;
  /** revoke-accessor of a consumed wrapper: 400 `token not found`, or 200 with a warning. Both were seen. */
  consumedIsForgotten: boolean;
}

/**
 * A standby that forwards does all the work and only its health shows what it is (429, `performance` 473); one that is
 * `alone` knows no active node and answers 500.
 */
export type Standby = 'no' | 'forwarding' | 'performance' | 'alone';

/** A secret value that was handed out. */
export interface ValueRead {
  readonly path: string;
  readonly by: string;
  readonly accessor: string;
}

/** Everything a server remembers. */
export class State {
  readonly policies: Policies;
  readonly tokens: Tokens;
  readonly roles = new Map<string, TokenRole>();
  readonly mounts = new Map<string, KvMount>();
  readonly wrappers = new Wrappers();
  readonly jwt = new JwtMounts();
  readonly root: TokenRecord;
  readonly valuesRead: ValueRead[] = [];
  readonly mint: MintKnobs = { add: [], drop: [], notOrphan: false };
  readonly wrapping: WrappingKnobs = { losersGet500: 0, revokedStillUnwraps: false, consumedIsForgotten: false };
  sealed = false;
  standby: Standby = 'no';
  readonly #clock: () => number;
  #offset = 0;

  constructor(clock: () => number) {
    this.#clock = clock;
    const now = (): number => this.now();
    this.policies = new Policies(now);
    this.tokens = new Tokens(now);
    this.root = this.tokens.issue({
      label: 'root',
      policies: ['root'],
      path: 'auth/token/root',
      meta: null,
      displayName: 'root',
      ttl: 0,
      explicitMaxTtl: 0,
      period: 0,
      renewable: false,
      orphan: true,
      parent: null,
      role: null,
      type: 'service',
      boundCidrs: [],
      numUses: 0,
    });
  }

  now(): number {
    return this.#clock() + this.#offset;
  }

  advance(ms: number): void {
    this.#offset += ms;
  }

  mount(name: string): KvMount {
    const known = this.mounts.get(name) ?? new KvMount(() => this.now());
    this.mounts.set(name, known);
    return known;
  }
}
