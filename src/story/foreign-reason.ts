import type { Reason } from '../domain/run.ts';
import { printable } from '../domain/text.ts';
import type { ForeignResult } from './own-results.ts';
import { reason } from './reasons.ts';

/** Why an action with such a result, or one that depends on it, waits. */
export function foreignReason({ path, commit, author, isMerge, signature, fingerprint }: ForeignResult): Reason {
  const set = isMerge ? 'came with the merge' : 'was set by commit';
  const key = fingerprint === null ? '' : ` (${printable(fingerprint)})`;
  const named = author === null ? '' : `; it names ${author} as its author`;
  const message =
    commit === null
      ? `${printable(path)} can be traced to no commit`
      : `${printable(path)} ${set} ${commit.slice(0, 12)}, ${SIGNED[signature]}${key}${named}`;
  if (isMerge) return reason('ERR_FOREIGN_RESULT', message, null, MERGE_HINT);
  if (signature === 'unsigned') return reason('ERR_FOREIGN_RESULT', message, null, UNSIGNED_HINT);
  return reason('ERR_FOREIGN_RESULT', message);
}

const SIGNED: Readonly<Record<ForeignResult['signature'], string>> = {
  unsigned: 'which is not signed',
  bad: 'whose signature is broken',
  'unknown-key': 'which is signed by no key of a dispatcher',
};
const MERGE_HINT =
  "Compare it with the dispatcher's own commit on the merged side; to vouch for what lies there, set trusted_commit.";
/** Every result from before the key was configured is one of these, and what it tells of has run. */
const UNSIGNED_HINT =
  'If it is from before results were signed, look at it and move trusted_commit to a commit that holds it ' +
  '(`init --trust`); else find out who wrote it. Do not rerun what may have run.';
