import type { Oid } from '../domain/ids.ts';
import { type ClaimedPerson, isAmong } from '../domain/people.ts';
import type { Approver } from '../domain/policy.ts';
import type { ApprovalEvidence, RuleVerdict } from '../domain/verdict.ts';
import { InvalidError } from '../errors.ts';
import type { ApprovalRule, ApprovalSubject } from '../ports/approval.ts';
import type { AllowedSigner, CommitInfo, OpsRepo } from '../ports/ops-repo.ts';
import { createMemory } from './shared/remember.ts';
import { createSetters, regularFile } from './shared/setter.ts';

/**
 * The commit that itself set this blob at this path is signed by an approver's SSH key: the newest first-parent commit
 * that changed the path, or, where that is a merge, a commit on its merged side that introduced the blob. A later commit
 * whose tree merely still holds the blob approves nothing.
 *
 * Never refuses: the same bytes can still be set anew by a commit that is signed. What it says of a commit and these keys
 * stays true, so it is found out once.
 */
export const signedCommit = {
  create({ opsRepo }: { readonly opsRepo: OpsRepo }): ApprovalRule {
    const setters = createSetters(opsRepo);
    const verdicts = createMemory<RuleVerdict>();
    const numberOf = numbering();
    return {
      name: 'signed-commit',
      countsPeople: true,
      async evaluate(subject, signal) {
        signal?.throwIfAborted();
        const setter = await setters.of(subject);
        if (setter === null) return notYet('no commit of the branch sets exactly these bytes at this path');
        const { path, blob, formulaPath, approvers, selfApprove } = subject;
        const key = JSON.stringify([setter.commit, path, blob, formulaPath, selfApprove, numberOf(approvers)]);
        return verdicts.recall(key, () => judge(setter.commit, subject, opsRepo));
      },
    };
  },
};

async function judge(setter: Oid, subject: ApprovalSubject, opsRepo: OpsRepo): Promise<RuleVerdict> {
  try {
    const change = await changeOf(setter, subject, opsRepo);
    const evidence: ApprovalEvidence[] = [];
    const seen: string[] = [];
    for (const commit of change.candidates) {
      const answer = await judgeCommit(commit, change.authors, subject, opsRepo);
      if (typeof answer === 'string') seen.push(answer);
      else evidence.push(answer);
    }
    return evidence.length > 0 ? { kind: 'met', evidence } : notYet(seen.join('; '));
  } catch (error) {
    // A commit too large to be read is nobody's approval, and not the fault of the file.
    if (error instanceof InvalidError) return notYet(error.message);
    throw error;
  }
}

interface Change {
  /** Whose signature approves. */
  readonly candidates: readonly CommitInfo[];
  /** Who made it: of a merge that only brought the bytes in, those who introduced them. */
  readonly authors: readonly ClaimedPerson[];
}

async function changeOf(setter: Oid, { path, blob }: ApprovalSubject, opsRepo: OpsRepo): Promise<Change> {
  const newest = await opsRepo.commit(setter);
  const introducers = newest.parents.length > 1 ? await opsRepo.introducers(setter, path, blob) : [];
  const introduced = await Promise.all(introducers.map((commit) => opsRepo.commit(commit)));
  const made = introduced.length > 0 ? introduced : [newest];
  return {
    candidates: [newest, ...introduced],
    authors: made.flatMap(({ author, coAuthors }) => [author, ...coAuthors]),
  };
}

/** Evidence, or why this commit is none. */
async function judgeCommit(
  commit: CommitInfo,
  authors: readonly ClaimedPerson[],
  subject: ApprovalSubject,
  opsRepo: OpsRepo,
): Promise<ApprovalEvidence | string> {
  const { approvers, path, blob, selfApprove } = subject;
  const short = commit.oid.slice(0, 12);
  const signature = await opsRepo.verifySignature(commit.oid, signersOf(approvers));
  if (signature.kind === 'unsigned') return `commit ${short} is not signed`;
  if (signature.kind === 'bad') return `the signature of commit ${short} is broken`;
  const approver = signature.kind === 'good' ? approverOf(signature.principal, approvers) : undefined;
  if (approver === undefined) return `the signature of commit ${short} is by no key of an approver`;
  if (!selfApprove && isAmong(authors, approver)) {
    return `commit ${short} is signed by ${approver.name}, who is an author of the change`;
  }
  if ((await regularFile(opsRepo, commit.oid, path))?.oid !== blob) return `commit ${short} holds other bytes`;
  const { oid, committedAt: at } = commit;
  const formulaBlob = await formulaAt(oid, subject, opsRepo);
  return { rule: 'signed-commit', by: approver.name, what: oid, commit: oid, at, person: approver.name, formulaBlob };
}

async function formulaAt(commit: Oid, { formulaPath }: ApprovalSubject, opsRepo: OpsRepo): Promise<Oid | null> {
  if (formulaPath === null) return null;
  return (await regularFile(opsRepo, commit, formulaPath))?.oid ?? null;
}

const PRINCIPAL = 'approver-';

/** Principals of our own making: what people write there could not tell two approvers apart. */
function signersOf(approvers: readonly Approver[]): readonly AllowedSigner[] {
  return approvers.flatMap(({ keys }, index) => keys.map(({ key }) => ({ principal: `${PRINCIPAL}${index}`, key })));
}

function approverOf(principal: string, approvers: readonly Approver[]): Approver | undefined {
  return approvers.find((_, index) => principal === `${PRINCIPAL}${index}`);
}

function notYet(message: string): RuleVerdict {
  return { kind: 'waiting', code: 'ERR_APPROVAL_WAITING', message };
}

/** Lists of approvers are told apart by which list it is: a policy in force keeps its own. Nobody is always the same. */
function numbering(): (approvers: readonly Approver[]) => number {
  const numbers = new WeakMap<readonly Approver[], number>();
  let last = 0;
  return (approvers) => {
    if (approvers.length === 0) return 0;
    const number = numbers.get(approvers) ?? (last += 1);
    numbers.set(approvers, number);
    return number;
  };
}
