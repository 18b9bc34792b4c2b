import { type Comment, ForgeRefusal, type Issue, type Status, type User } from './records.ts';
import type { ForgeState } from './state.ts';

/** What people (and the dispatcher) write: none of it is evidence. */

export interface StatusInput {
  readonly state: string;
  readonly context: string;
  readonly description?: string;
  readonly url?: string;
}

export function addComment(state: ForgeState, by: User, number: number, body: string): Comment {
  if (!state.may(by, 'read')) throw new ForgeRefusal('no-access');
  const onPull = state.pulls.some((pull) => pull.number === number);
  if (!onPull && !state.issues.some((issue) => issue.number === number)) throw new ForgeRefusal('nothing-there');
  // A comment is a line of the timeline, so both have one id.
  const id = state.addEvent({ kind: 'comment', pull: number, by, body });
  const at = state.time();
  const comment: Comment = { id, number, by, body, createdAt: at, updatedAt: at };
  state.comments.push(comment);
  return comment;
}

export function editComment(state: ForgeState, by: User, id: number, body: string): Comment {
  const comment = state.comments.find((each) => each.id === id);
  if (comment === undefined) throw new ForgeRefusal('nothing-there');
  if (comment.by !== by && !state.may(by, 'admin')) throw new ForgeRefusal('no-repo-admin');
  Object.assign(comment, { body, updatedAt: state.time() });
  return comment;
}

export function addStatus(state: ForgeState, by: User, commit: string, input: StatusInput): Status {
  if (!state.may(by, 'write')) throw new ForgeRefusal('no-push');
  if (state.store.commit(commit) === null) throw new ForgeRefusal('unknown-commit');
  const { state: value, context, description = '', url = '' } = input;
  const status: Status = { id: state.id(), commit, state: value, context, description, url, by, at: state.time() };
  state.statuses.push(status);
  return status;
}

export function openIssue(
  state: ForgeState,
  author: User,
  input: { readonly title: string; readonly body?: string; readonly labels?: readonly string[] },
): Issue {
  const at = state.time();
  // Readers can't set labels; the wish is dropped without a word.
  const labels = state.may(author, 'write') ? (input.labels ?? []) : [];
  const made = { id: state.id(), number: state.number(), author, title: input.title, body: input.body ?? '', labels };
  const issue: Issue = { ...made, state: 'open', createdAt: at, updatedAt: at };
  state.issues.push(issue);
  return issue;
}
