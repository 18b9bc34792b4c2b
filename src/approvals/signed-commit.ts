import type { Oid } from '../domain/ids.ts';
import { isAmong } from '../domain/people.ts';
import type { Approver } from '../domain/policy.ts';
import type { ApprovalEvidence, RuleVerdict } from '../domain/verdict.ts';
import type { ApprovalRule, ApprovalSubject } from '../ports/approval.ts';
import type { AllowedSigner, CommitInfo, OpsRepo } from '../ports/ops-repo.ts';
import type { ApprovalTools } from './index.ts';

/**
 * The commit that itself set this blob at this path is signed by an approver's SSH key: the newest first-parent commit
 * that changed the path, or, where that is a merge, the commit on its merged side that introduced the blob. A later
 * commit whose tree merely still holds the blob approves nothing.
 */
export const signedCommit = {
  create({ opsRepo }: ApprovalTools): ApprovalRule {
    return {
      name: 'signed-commit',
      countsPeople: true,
      evaluate: (subject) => evaluate(subject, opsRepo),
    };
  },
};

async function evaluate(subject: ApprovalSubject, opsRepo: OpsRepo): Promise<RuleVerdict> {
  const { path, blob, tip } = subject;
  const newest = (await opsRepo.lastChanged(tip, [path])).get(path)?.commit;
  const there = newest === undefined ? null : await opsRepo.entryAt(newest, path);
  if (newest === undefined || there?.oid !== blob) return notYet('no commit of the branch sets these bytes');
  const introducers = await opsRepo.introducers(newest, path, blob);
  const change = introducers.length > 0 ? introducers : [newest];
  const authors = await authorsOf(change, opsRepo);
  const seen: string[] = [];
  for (const commit of new Set([newest, ...introducers])) {
    const answer = await judge(await opsRepo.commit(commit), authors, subject, opsRepo);
    if (typeof answer !== 'string') return { kind: 'met', evidence: [answer] };
    seen.push(answer);
  }
  return notYet(seen.join('; '));
}

/** The commits that introduced the blob say who made the change; a merge that only brought it in does not. */
async function authorsOf(change: readonly Oid[], opsRepo: OpsRepo) {
  const commits = await Promise.all(change.map((commit) => opsRepo.commit(commit)));
  return commits.flatMap(({ author, coAuthors }) => [author, ...coAuthors]);
}

type Authors = Awaited<ReturnType<typeof authorsOf>>;

/** Evidence, or why this commit is none. */
async function judge(
  commit: CommitInfo,
  authors: Authors,
  subject: ApprovalSubject,
  opsRepo: OpsRepo,
): Promise<ApprovalEvidence | string> {
  const short = commit.oid.slice(0, 12);
  const signature = await opsRepo.verifySignature(commit.oid, signersOf(subject.approvers));
  if (signature.kind === 'unsigned') return `the commit ${short} that sets it is not signed`;
  if (signature.kind !== 'good') return `the signature of ${short} is not by a key of an approver`;
  const approver = subject.approvers[Number(signature.principal.slice(PRINCIPAL.length))];
  if (approver === undefined) return `the signature of ${short} is not by a key of an approver`;
  if (!subject.selfApprove && isAmong(authors, approver)) {
    return `${approver.name} signed ${short}, but is an author of the change`;
  }
  const formula = subject.formulaPath === null ? null : await opsRepo.entryAt(commit.oid, subject.formulaPath);
  return {
    rule: 'signed-commit',
    by: approver.name,
    what: commit.oid,
    commit: commit.oid,
    at: commit.committedAt,
    person: approver.name,
    formulaBlob: formula?.oid ?? null,
  };
}

const PRINCIPAL = 'approver-';

/** Principals of our own making: what people write there could not tell two approvers apart. */
function signersOf(approvers: readonly Approver[]): readonly AllowedSigner[] {
  return approvers.flatMap(({ keys }, index) => keys.map(({ key }) => ({ principal: `${PRINCIPAL}${index}`, key })));
}

function notYet(message: string): RuleVerdict {
  return { kind: 'waiting', code: 'ERR_APPROVAL_WAITING', message };
}
