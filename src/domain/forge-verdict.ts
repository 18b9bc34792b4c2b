import type { Code } from '../errors.ts';
import type { Account, Change, ChangeCommit, ChangeHistory, Review } from './change.ts';
import type { Oid } from './ids.ts';
import { type ClaimedPerson, isAmong } from './people.ts';
import type { Approver } from './policy.ts';
import type { ApprovalEvidence, RuleVerdict } from './verdict.ts';

/** What the merged change that brought some bytes says of them. Pure: facts of forge and git in, a verdict out. */

export interface ReviewEvidence extends Review {
  /** Git has this commit. */
  readonly isKnown: boolean;
  /** The reviewed line itself brought these bytes, against where it parted from the branch: the reviewer was shown them. */
  readonly isShown: boolean;
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
  const met = valid.filter(({ review }) => review.blob === electorate.blob && wasShown(review, evidence));
  if (met.length > 0) return { kind: 'met', evidence: met.map(({ review, name }) => reviewEvidence(review, name)) };
  const unseen = valid.find(({ review }) => review.blob === electorate.blob);
  if (unseen !== undefined) {
    const why = unseen.review.isShown
      ? 'before the change was moved to this branch'
      : 'which does not change this file: nobody was shown it';
    return wait('ERR_NEEDS_APPROVAL', `${unseen.name} approved ${aboutCommit(unseen.review)}, ${why}`, evidence);
  }
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
  const isMoved = history.retargetedAt !== null && Math.abs(merged - Date.parse(history.retargetedAt)) < quietMs;
  if (isMoved) return 'the change was moved to this branch right before it';
  const late = history.pushes.find((push) => push.by.id !== by.id && Math.abs(merged - Date.parse(push.at)) < quietMs);
  return late === undefined ? null : `${late.by.login} pushed to the change right before it`;
}

/** With another base branch the same commit is another difference. */
function wasShown({ isShown, at }: ReviewEvidence, { history: { retargetedAt } }: ChangeEvidence): boolean {
  return isShown && (retargetedAt === null || Date.parse(at) > Date.parse(retargetedAt));
}

/**
 * null: nobody entitled, by their latest word about exactly these bytes, asks for changes. Having a part in the change
 * silences nobody here, since others could give somebody a part; what was filed under a commit that is gone still stands.
 */
function rejections(evidence: ChangeEvidence, electorate: Electorate): RuleVerdict | null {
  const names = latestVerdicts(evidence.reviews).flatMap((review) => {
    if (review.verdict !== 'changes-requested' || review.dismissed) return [];
    if (review.isKnown && review.blob !== electorate.blob) return [];
    const person = personOf(review.by, evidence, electorate);
    return typeof person === 'string' ? [] : [person.name];
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

/** Somebody entitled. */
interface Person {
  /** As the results name this person, and as people are counted. */
  readonly name: string;
  /** All that this person may be known by. */
  readonly faces: readonly Approver[];
}

/** The person whose word counts for this change, or why this account's does not. */
function voiceOf(account: Account, evidence: ChangeEvidence, electorate: Electorate): Person | string {
  const person = personOf(account, evidence, electorate);
  if (typeof person === 'string' || electorate.selfApprove) return person;
  return hasPart(account.id, person, evidence) ? `${account.login} has a part in the change` : person;
}

function personOf(account: Account, { admins }: ChangeEvidence, electorate: Electorate): Person | string {
  const { id, login, isBot } = account;
  const { approvers, forgeUrl: url, bots } = electorate;
  if (id === null) return 'the account is gone';
  if (isBot || bots.has(login.toLowerCase())) return `${login} is a bot`;
  // By url and id it is this entry's account; entitled by the policy only under its login, which may be given up.
  const entry = approvers.find(({ forge }) => forge?.url === url && forge.id === id);
  if (entry?.forge?.login.toLowerCase() === login.toLowerCase()) return { name: entry.name, faces: [entry] };
  if (!admins.has(id)) return `${login} is no approver`;
  const admin: Approver = { name: login, forge: { url, id, login }, keys: [] };
  if (entry !== undefined) return { name: entry.name, faces: [entry, admin] };
  // Whoever may be a person of the policy is counted as that one, so that nobody counts twice.
  const alike = approvers.find((other) => isAmong([{ name: login, email: login }], other));
  return { name: alike?.name ?? login, faces: [admin] };
}

/** Opened, wrote, committed or pushed any of it. */
function hasPart(id: number | null, { faces }: Person, evidence: ChangeEvidence): boolean {
  const { change, commits, history, makers } = evidence;
  const pushers = history.pushes.map(({ by }) => by);
  const accounts = [change.author, ...commits.flatMap((commit) => commit.accounts), ...pushers];
  if (accounts.some((account) => account.id === id)) return true;
  const people = commits.flatMap(({ author, committer, coAuthors }) => [author, committer, ...coAuthors]);
  return faces.some((face) => isAmong([...people, ...makers], face));
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
