import type { Oid } from '../../domain/ids.ts';
import { type ClaimedPerson, isAmong } from '../../domain/people.ts';
import type { Approver } from '../../domain/policy.ts';
import type { ApprovalEvidence } from '../../domain/verdict.ts';
import { InvalidError } from '../../errors.ts';
import type { ApprovalSubject } from '../../ports/approval.ts';
import type { AllowedSigner, CommitInfo, OpsRepo } from '../../ports/ops-repo.ts';
import { regularFile } from './setter.ts';

/** What rules have in common whose evidence is a signature: who made the change, and whose signature it is. */

interface SetChange {
  /** The commit that set the bytes and, where that is a merge, those on its merged side that introduced them. */
  readonly commits: readonly CommitInfo[];
  /** Who made it: of a merge that only brought the bytes in, those who introduced them. */
  readonly authors: readonly ClaimedPerson[];
}

/** The change that `setter` brought to the branch. Throws InvalidError when one of its commits is too large to be read. */
export async function changeThatSet(
  setter: Oid,
  { path, blob }: Pick<ApprovalSubject, 'path' | 'blob'>,
  opsRepo: OpsRepo,
): Promise<SetChange> {
  const newest = await opsRepo.commit(setter);
  const introducers = newest.parents.length > 1 ? await opsRepo.introducers(setter, path, blob) : [];
  const introduced = await Promise.all(introducers.map((commit) => opsRepo.commit(commit)));
  const made = introduced.length > 0 ? introduced : [newest];
  return {
    commits: [newest, ...introduced],
    authors: made.flatMap(({ author, coAuthors }) => [author, ...coAuthors]),
  };
}

/** Something signed that may approve what lies in the tree of a commit. */
export interface Signed {
  readonly rule: string;
  /** The commit or tag that carries the signature. */
  readonly object: Oid;
  /** As people are told of it: `commit 0123…`. */
  readonly name: string;
  /** As the evidence names it. */
  readonly what: string;
  readonly commit: Oid;
  /** ISO 8601, claimed. */
  readonly at: string;
}

/** Evidence, or why it is none. What it says of the same signature, change and approvers stays true. */
export async function judgeSigned(
  signed: Signed,
  authors: readonly ClaimedPerson[],
  subject: ApprovalSubject,
  opsRepo: OpsRepo,
): Promise<ApprovalEvidence | string> {
  const { rule, object, name, what, commit, at } = signed;
  const { path, blob, selfApprove } = subject;
  const approver = await signerOf(signed, object, subject.approvers, opsRepo);
  if (typeof approver === 'string') return approver;
  if (!selfApprove && isAmong(authors, approver)) {
    return `${name} is signed by ${approver.name}, who is an author of the change`;
  }
  if ((await regularFile(opsRepo, commit, path))?.oid !== blob) return `${name} holds other bytes`;
  const formulaBlob = await formulaAt(commit, subject, opsRepo);
  return { rule, by: approver.name, what, commit, at, person: approver.name, formulaBlob };
}

/** Something too large to be read is nobody's approval, and not the fault of the file. */
export async function orUnreadable<T>(work: () => Promise<T>): Promise<T | string> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof InvalidError) return error.message;
    throw error;
  }
}

async function signerOf(
  { name }: Signed,
  object: Oid,
  approvers: readonly Approver[],
  opsRepo: OpsRepo,
): Promise<Approver | string> {
  const signature = await opsRepo.verifySignature(object, signersOf(approvers));
  if (signature.kind === 'unsigned') return `${name} is not signed`;
  if (signature.kind === 'bad') return `the signature of ${name} is broken`;
  const approver = signature.kind === 'good' ? approverOf(signature.principal, approvers) : undefined;
  return approver ?? `the signature of ${name} is by no key of an approver`;
}

export async function formulaAt(commit: Oid, { formulaPath }: ApprovalSubject, opsRepo: OpsRepo): Promise<Oid | null> {
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

/** Lists of approvers are told apart by which list it is: a policy in force keeps its own. Nobody is always the same. */
export function numbering(): (approvers: readonly Approver[]) => number {
  const numbers = new WeakMap<readonly Approver[], number>();
  let last = 0;
  return (approvers) => {
    if (approvers.length === 0) return 0;
    const number = numbers.get(approvers) ?? (last += 1);
    numbers.set(approvers, number);
    return number;
  };
}
