import { isAncestor } from './git-history.ts';
import { mergedTip } from './merging.ts';
import { landed, lookAgain, markMerged } from './pushing.ts';
import { commitsOf } from './reading.ts';
import { ForgeRefusal, type MergeStyle, type Pull, type User } from './records.ts';
import type { ForgeState } from './state.ts';

export interface PullInput {
  /** Branch, or `login:branch` of a fork. */
  readonly head: string;
  /** Default: the default branch. */
  readonly base?: string;
  readonly title?: string;
}

export function addPull(state: ForgeState, opener: User, input: PullInput): Pull {
  if (!state.may(opener, 'read')) throw new ForgeRefusal('no-access');
  const base = input.base ?? state.branch;
  const [knownHead, mergeBase] = [state.tip(input.head), state.tip(base)];
  if (knownHead === null || mergeBase === null) throw new ForgeRefusal('nothing-there');
  const colon = input.head.indexOf(':');
  const at = state.time();
  const pull: Pull = {
    id: state.id(),
    number: state.number(),
    opener,
    title: input.title ?? `add ${input.head}`,
    base,
    head: { fork: colon < 0 ? null : input.head.slice(0, colon), branch: input.head.slice(colon + 1) },
    state: 'open',
    merge: null,
    knownHead,
    mergeBase,
    createdAt: at,
    updatedAt: at,
    closedAt: null,
    scheduled: null,
  };
  state.pulls.push(pull);
  lookAgain(state, pull);
  // The opener is named, whoever pushed the branch before.
  const commits = commitsOf(state, pull).map(({ oid }) => oid);
  const push = { commits: commits.toReversed(), forced: false };
  state.addEvent({ kind: 'push', pull: pull.number, by: opener, push });
  state.addFeed({ kind: 'open', by: opener, pull, push: null, ref: '' });
  return pull;
}

export function closePull(state: ForgeState, by: User, pull: Pull): void {
  const at = state.time();
  Object.assign(pull, { state: 'closed', closedAt: at, updatedAt: at });
  state.addEvent({ kind: 'close', pull: pull.number, by });
}

/** It stays open, with the reviews that it has, and is another difference from now on. */
export function retargetPull(state: ForgeState, by: User, pull: Pull, base: string): void {
  if (pull.state === 'closed') throw new ForgeRefusal('closed-pull');
  if (by !== pull.opener && !state.may(by, 'write')) throw new ForgeRefusal('no-access');
  if (state.tip(base) === null) throw new ForgeRefusal('nothing-there');
  Object.assign(pull, { base, updatedAt: state.time() });
  state.addEvent({ kind: 'retarget', pull: pull.number, by });
  lookAgain(state, pull);
}

export interface MergeOptions {
  /** An administrator passes required approvals over. */
  readonly force?: boolean;
  /** Only if the branch of the change stands here. */
  readonly head?: string;
  /** It had been scheduled. */
  readonly scheduled?: boolean;
}

/** Answers the merge commit. */
export function mergePull(
  state: ForgeState,
  by: User,
  pull: Pull,
  { style, force = false, head, scheduled = false }: MergeOptions & { readonly style: MergeStyle },
): string {
  checkMerge(state, by, pull);
  if (head !== undefined && head !== state.headTip(pull)) throw new ForgeRefusal('head-out-of-date');
  if (!isApproved(state, pull) && !(force && state.may(by, 'admin'))) throw new ForgeRefusal('not-enough-approvals');
  const before = state.tip(pull.base);
  const after = mergedTip(state, pull, by, style);
  state.move(pull.base, after);
  markMerged(state, pull, { commit: after, by, scheduled });
  landed(state, by, pull.base, { before, after });
  return after;
}

/** `commit` is on the base branch already; whether it has anything to do with the change is not asked. */
export function mergeManually(state: ForgeState, by: User, pull: Pull, commit: string): void {
  checkMerge(state, by, pull);
  if (!isAncestor(state.store, commit, state.tip(pull.base) ?? '')) throw new ForgeRefusal('merged-already');
  markMerged(state, pull, { commit, by });
}

export function scheduleMerge(state: ForgeState, by: User, pull: Pull, style: MergeStyle): void {
  checkMerge(state, by, pull);
  pull.scheduled = { by, style };
  state.addEvent({ kind: 'schedule', pull: pull.number, by });
}

/** After something that may have let a scheduled merge happen. */
export function runScheduled(state: ForgeState, pull: Pull): void {
  if (pull.scheduled === null || pull.state === 'closed' || !isApproved(state, pull)) return;
  mergePull(state, pull.scheduled.by, pull, { style: pull.scheduled.style, scheduled: true });
}

function checkMerge(state: ForgeState, by: User, pull: Pull): void {
  if (pull.state === 'closed') throw new ForgeRefusal('merged-already');
  if (!state.may(by, 'write')) throw new ForgeRefusal('no-merge-right');
}

/** The forge counts flags: what is official and not dismissed. */
function isApproved(state: ForgeState, pull: Pull): boolean {
  const needed = state.protections.get(pull.base)?.requiredApprovals ?? 0;
  if (needed === 0) return true;
  const counted = state.reviews.filter((each) => each.pull === pull.number && each.official && !each.dismissed);
  if (counted.some((each) => each.state === 'changes-requested')) return false;
  return counted.filter((each) => each.state === 'approved').length >= needed;
}
