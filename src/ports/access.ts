import type { Check } from '../domain/check.ts';
import type { AttemptToken, Oid, RunId } from '../domain/ids.ts';
import type { AccessFragment } from '../domain/payload.ts';

export interface GrantRequest {
  readonly id: RunId;
  readonly attempt: number;
  readonly token: AttemptToken;
  readonly blobs: { readonly action: Oid; readonly formula: Oid };
  /** Exactly these; may be empty, and then the grant is still single-use. */
  readonly secrets: readonly string[];
  /** How long the run may take to be placed and to read, in seconds. */
  readonly wrapSeconds: number;
}

/** A minted, unread token. `fragment` goes into the payload and nowhere else: it holds the wrapping token. */
export interface Grant {
  readonly fragment: AccessFragment;
  /** Names the token without being it; may be written to the journal. */
  readonly accessor: string;
  readonly policies: readonly string[];
  readonly issuedAt: string;
  readonly expiresAt: string;
}

export type SecretState = 'present' | 'missing' | 'denied';

/**
 * What became of a wrapper when we tried to redeem it ourselves. Exactly one redemption of a wrapper ever succeeds, so
 * `consumed` proves that no run has read it and none can; `used` proves nothing about who did.
 */
export type Consumption = 'consumed' | 'used' | 'expired';

/**
 * Where secrets come from.
 *
 * Order: `states` before `grant`, `grant` before the claim, `revoke` after the run's end. All calls may run at the same
 * time for different attempts. `states`, `verify`, `consume` and `revoke` are safe to repeat; `grant` mints another
 * token each time. Errors: TransientError while the store is away, StalledError when it denies us.
 */
export interface Access {
  readonly kind: string;
  /** Everything that the dispatcher itself needs of the store; never throws for a bad answer. */
  check(signal?: AbortSignal): Promise<readonly Check[]>;
  /** State of each name, without reading a value. */
  states(names: readonly string[], signal?: AbortSignal): Promise<ReadonlyMap<string, SecretState>>;
  /** Where the value of a secret lies, as people look for it in this store; never the value. Absent: by its name. */
  placeOf?(name: string): string;
  /** Mints a single-use grant of exactly `secrets`. A grant that is never claimed ends by itself. */
  grant(request: GrantRequest, signal?: AbortSignal): Promise<Grant>;
  /** Throws StalledError (ERR_ACCESS_DENIED) when the grant is more or less than what was asked. */
  verify(request: GrantRequest, grant: Grant, signal?: AbortSignal): Promise<void>;
  /** Redeems the wrapper ourselves and throws away what came out: the proof that it never started (design.md). */
  consume(fragment: AccessFragment, signal?: AbortSignal): Promise<Consumption>;
  /** Revokes what this accessor names, if it is ours and of this attempt. Answers when it is gone (ISO time). */
  revoke(accessor: string, token: AttemptToken, signal?: AbortSignal): Promise<string>;
}
