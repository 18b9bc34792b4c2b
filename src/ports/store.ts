/**
 * Where output and artifacts are kept. Safe to repeat: `put` of the same key replaces as a whole; a reader sees the old
 * or the new content, never a part. Errors: TransientError (ERR_STORE_UNAVAILABLE).
 */
export interface Store {
  /** `key`: slash-separated relative path without `..`. Answers size, digest (hex) and URI of what was written. */
  put(key: string, content: AsyncIterable<Uint8Array>): Promise<StoredObject>;
  /** null when there is no such object. `uri` as `put` answered it. */
  get(uri: string): Promise<AsyncIterable<Uint8Array> | null>;
}

export interface StoredObject {
  readonly uri: string;
  readonly bytes: number;
  readonly sha256: string;
}
