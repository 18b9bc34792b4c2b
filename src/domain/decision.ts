import type { Oid } from './ids.ts';

/** That an edit of a gated file was approved, and by which version of the policy. */
export interface Decision {
  readonly edit: { readonly commit: Oid; readonly path: string; readonly blob: Oid };
  /** The version of the policy that judged it; `blob` null: there was none yet, `commit` null: nor a trusted commit. */
  readonly judge: { readonly commit: Oid | null; readonly blob: Oid | null };
}

/** All that the decision depended on, as one line: the same for the same decision only. */
export function decisionLine({ edit, judge }: Decision): string {
  const { commit, path, blob } = edit;
  return `approved ${commit} ${blob} ${JSON.stringify(path)} by ${judge.commit ?? '-'} ${judge.blob ?? '-'}`;
}

const OID = '[0-9a-f]{40}(?:[0-9a-f]{24})?';
const LINE = new RegExp(`^approved (${OID}) ${OID} "[^\\n]*" by ${OID} (?:${OID}|-)$`);

/** The commit of the edit that a line is about; null: it is no line of a decision that may be kept. */
export function commitDecided(line: string): string | null {
  return LINE.exec(line)?.[1] ?? null;
}
