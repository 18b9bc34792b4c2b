import type { Code } from '../errors.ts';
import type { Account, Change, ChangeCommit, ChangeHistory, Review } from './change.ts';
import type { Oid } from './ids.ts';
import { type ClaimedPerson, isAmong } from './people.ts';
import type { Approver } from './policy.ts';
import type { ApprovalEvidence, RuleVerdict } from './verdict.ts';

/** What the merged change that brought some bytes says of them. Pure: facts of forge and git in, a verdict out. */

export interface ReviewEvidence extends Review {
  /** The regular file at the path in the tree of the reviewed commit, by git; null: none, or no such commit. */
  readonly blob: Oid | null;
  /** The formula file in that tree. */
  readonly formulaBlob: Oid | null;
}

export interface ChangeEvidence {
  readonly change: Change;
  readonly merge: NonNullable<Change['merge']>;
  readonly reviews: readonly ReviewEvidence[];
  readonly commits: readonly ChangeCommit[];
  readonly history: ChangeHistory;
  /** Whom git names for these bytes beside `commits`: what was merged may be more than the forge saw. */
  readonly makers: readonly ClaimedPerson[];
  /** The file, and the formula file, in the tree of the merge commit. */
  readonly mergedBlob: Oid | null;
  readonly mergedFormulaBlob: Oid | null;
  /** Accounts of this evidence that administer the repository; empty where these are not entitled. */
  readonly admins: ReadonlySet<number>;
}

/** Whose word counts, and for what. */
export interface Electorate {
  readonly blob: Oid;
  /** Address of the forge, as `forge.url` of approvers. */
  readonly forgeUrl: string;
  readonly approvers: readonly Approver[];
  /** Logins that are no people, in lower case. */
  readonly bots: ReadonlySet<string>;
  readonly selfApprove: boolean;
}

/**
 * Somebody entitled approved a commit whose tree holds exactly these bytes at this path, and nobody entitled stands
 * against them.
 */
export function reviewVerdict(evidence: ChangeEvidence, electorate: Electorate): RuleVerdict {
  const against = rejections(evidence, electorate);
  if (against !== null) return against;
  const approvals = latestVerdicts(evidence.reviews).filter(({ verdict }) => verdict === 'approved');
  const heard = approvals.map((review) => ({ review, voice: voiceOf(review.by, evidence, electorate) }));
  const valid = heard.flatMap(({ review, voice }) => {
    return typeof voice === 'string' || review.dismissed ? [] : [{ review, name: voice.name }];
  });
  const met = valid.filter(({ review }) => review.blob === electorate.blob);
  if (met.length > 0) return { kind: 'met', evidence: met.map(({ review, name }) => reviewEvidence(review, name)) };
  const [other] = valid;
  if (other !== undefined) {
    const message = `${other.name} approved ${aboutCommit(other.review)}, which holds other bytes at this path`;
    return wait('ERR_APPROVED_OTHER_BYTES', message);
  }
  const deaf = heard.map(({ review, voice }) => {
    const why = review.dismissed || typeof voice !== 'string' ? 'it was dismissed' : voice;
    return `the approval of ${review.by.login} does not count: ${why}`;
  });
  return wait('ERR_NEEDS_APPROVAL', ['nobody entitled has approved these bytes', ...deaf].join('; '), evidence);
}

export interface MergeTerms extends Electorate {
  /** No push by another so shortly before the merge, in milliseconds. */
  readonly quietMs: number;
}

/**
 * Somebody entitled merged exactly these bytes, by the forge's own log of pushes, and had time to see what was merged.
 * `merge.by` alone is nothing: whoever may push can forge it.
 */
export function mergeVerdict(evidence: ChangeEvidence, terms: MergeTerms): RuleVerdict {
  const against = rejections(evidence, terms);
  if (against !== null) return against;
  const { merge, mergedBlob, mergedFormulaBlob, change } = evidence;
  if (merge.by === null) return wait('ERR_NEEDS_APPROVAL', 'the forge names nobody who merged it', evidence);
  const { login } = merge.by;
  const voice = voiceOf(merge.by, evidence, terms);
  const flaw = typeof voice === 'string' ? voice : mergeFlaw(evidence, merge.by, terms);
  if (flaw !== null || typeof voice === 'string') {
    return wait('ERR_NEEDS_APPROVAL', `the merge by ${login} does not count: ${flaw ?? ''}`, evidence);
  }
  if (mergedBlob !== terms.blob) {
    return wait('ERR_APPROVED_OTHER_BYTES', `${login} merged other bytes of it`, evidence);
  }
  const { commit, at } = merge;
  const { name } = voice;
  const met: ApprovalEvidence = {
    rule: 'forge-merge',
    by: name,
    what: change.url,
    commit,
    at,
    person: name,
    formulaBlob: mergedFormulaBlob,
  };
  return { kind: 'met', evidence: [met] };
}

/** What is known of this merge beside whose it is said to be; null: nothing is wrong with it. */
function mergeFlaw({ history, merge }: ChangeEvidence, by: Account, { quietMs }: MergeTerms): string | null {
  if (history.scheduled) return 'it was scheduled, so nobody looked at what was merged';
  if (history.landedBy === null) return 'the log of the forge does not say who pushed the merge';
  if (history.landedBy.id !== by.id) return `the log of the forge says that ${history.landedBy.login} pushed it`;
  const merged = Date.parse(merge.at);
  const late = history.pushes.find((push) => push.by.id !== by.id && Math.abs(merged - Date.parse(push.at)) < quietMs);
  return late === undefined ? null : `${late.by.login} pushed to the change right before it`;
}

/** null: nobody entitled, by their latest word about exactly these bytes, asks for changes. */
function rejections(evidence: ChangeEvidence, electorate: Electorate): RuleVerdict | null {
  const names = latestVerdicts(evidence.reviews).flatMap((review) => {
    if (review.verdict !== 'changes-requested' || review.dismissed || review.blob !== electorate.blob) return [];
    const voice = voiceOf(review.by, evidence, electorate);
    return typeof voice === 'string' ? [] : [voice.name];
  });
  if (names.length === 0) return null;
  return wait('ERR_CHANGES_REQUESTED', `${names.join(', ')} asked for changes of exactly these bytes`, evidence);
}

/** Of each account its newest review that is a verdict at all; `reviews` are oldest first. */
function latestVerdicts(reviews: readonly ReviewEvidence[]): readonly ReviewEvidence[] {
  const latest = new Map<number | null, ReviewEvidence>();
  const gone: ReviewEvidence[] = [];
  for (const review of reviews) {
    if (review.verdict === 'none') continue;
    if (review.by.id === null) gone.push(review);
    else latest.set(review.by.id, review);
  }
  return [...latest.values(), ...gone];
}

interface Voice {
  /** As the results name this person, and as people are counted. */
  readonly name: string;
}

/** The person whose word counts for this change, or why this account's does not. */
function voiceOf(account: Account, evidence: ChangeEvidence, electorate: Electorate): Voice | string {
  if (account.id === null) return 'the account is gone';
  if (account.isBot || electorate.bots.has(account.login.toLowerCase())) return `${account.login} is a bot`;
  const approver = approverOf(account, account.id, evidence.admins, electorate);
  if (approver === null) return `${account.login} is no approver`;
  if (!electorate.selfApprove && hasPart(account.id, approver, evidence))
    return `${account.login} has a part in the change`;
  return { name: nameOf(approver, electorate.approvers) };
}

/** By url, id and login together: logins are given up and taken anew, ids are of one forge only. */
function approverOf(
  { login }: Account,
  id: number,
  admins: ReadonlySet<number>,
  { approvers, forgeUrl: url }: Electorate,
): Approver | null {
  const known = approvers.find(({ forge }) => {
    return forge?.url === url && forge.id === id && forge.login.toLowerCase() === login.toLowerCase();
  });
  if (known !== undefined) return known;
  return admins.has(id) ? { name: login, forge: { url, id, login }, keys: [] } : null;
}

/** Opened, wrote, committed or pushed any of it. */
function hasPart(id: number, approver: Approver, { change, commits, history, makers }: ChangeEvidence): boolean {
  const accounts = [
    change.author,
    ...commits.flatMap((commit) => commit.accounts),
    ...history.pushes.map(({ by }) => by),
  ];
  if (accounts.some((account) => account.id === id)) return true;
  const people = commits.flatMap(({ author, committer, coAuthors }) => [author, committer, ...coAuthors]);
  return isAmong([...people, ...makers], approver);
}

/** An administrator who may be a person of the policy is counted as that one, so that nobody counts twice. */
function nameOf(approver: Approver, approvers: readonly Approver[]): string {
  if (approvers.includes(approver)) return approver.name;
  const claimed = { name: approver.name, email: approver.name };
  return approvers.find((other) => isAmong([claimed], other))?.name ?? approver.name;
}

function reviewEvidence({ url: what, commit, at, formulaBlob }: ReviewEvidence, name: string): ApprovalEvidence {
  return { rule: 'forge-review', by: name, what, commit, at, person: name, formulaBlob };
}

function aboutCommit({ commit }: Review): string {
  return `commit ${commit.slice(0, 12)}`;
}

function wait(code: Code, message: string, evidence?: ChangeEvidence): RuleVerdict {
  return { kind: 'waiting', code, message: evidence === undefined ? message : `${message} (${evidence.change.url})` };
}
