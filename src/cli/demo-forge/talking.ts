import { ForgeRefusal, type Status, type User } from './records.ts';
import type { ForgeState } from './state.ts';

/** What anybody who may write says of a commit: no evidence. */

export interface StatusInput {
  readonly state: string;
  readonly context: string;
  readonly description?: string;
  readonly url?: string;
}

export function addStatus(state: ForgeState, by: User, commit: string, input: StatusInput): Status {
  if (!state.may(by, 'write')) throw new ForgeRefusal('no-push');
  if (state.store.commit(commit) === null) throw new ForgeRefusal('unknown-commit');
  const { state: value, context, description = '', url = '' } = input;
  const status: Status = { id: state.id(), commit, state: value, context, description, url, by, at: state.time() };
  state.statuses.push(status);
  return status;
}
