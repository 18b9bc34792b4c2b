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
}
