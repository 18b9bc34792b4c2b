import type { Change } from '../domain/change.ts';
import type { Oid } from '../domain/ids.ts';

/** Which change of the forge brought something onto the branch, as the approval rules tell it. */
export interface ChangeFinder {
  /**
   * The merged change that brought `setter`, the commit of the line to `tip` that set the bytes at `path`; null: none is
   * known that touches the path (yet). Safe to repeat and to call at the same time. Errors: those of forge and ops repo.
   */
  of(setter: Oid, at: { readonly path: string; readonly tip: Oid }, signal?: AbortSignal): Promise<Change | null>;
}
