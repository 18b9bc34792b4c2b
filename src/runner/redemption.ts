/** What a redemption is done with besides the payload's own fragment. */
export interface RedeemTools {
  /** PEM file of the authority that the secret store's certificate is held against; null: the usual ones. */
  readonly caFile: string | null;
  /** Aborted: nobody wants the run any more; what waits for the store is to give up. */
  readonly stop: AbortSignal;
}

/** What a redeemed wrapper says, and the way to what it grants. */
export interface Redemption {
  readonly attempt: string;
  readonly blobs: { readonly action: string; readonly formula: string };
  /** Names granted, in no order. */
  readonly names: readonly string[];
  /**
   * The stored bytes of one granted name. Throws RunnerError: ERR_SECRET_MISSING, ERR_SECRET_DENIED, or
   * ERR_VAULT_UNAVAILABLE when the store itself can't be reached.
   */
  read(name: string): Promise<Uint8Array>;
  /**
   * Gives the access back: after it nothing can be read, by anybody who got hold of it either. To be called before the
   * command starts, and whatever else happens. Throws RunnerError (ERR_VAULT_UNAVAILABLE) when it may live on. Safe to
   * repeat.
   */
  close(): Promise<void>;
}
