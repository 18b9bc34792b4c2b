import { z } from 'zod';
import type { Change } from '../../../domain/change.ts';
import { isOid, type Oid } from '../../../domain/ids.ts';
import { accountOf } from './accounts.ts';
import type { RepoApi } from './api.ts';
import { UNREAD_TEXT } from './pages.ts';
import { type ListedPull, listedPullSchema, type Pull, pullSchema } from './schemas.ts';

type Signal = AbortSignal | undefined;

const MOST_OPEN = 200;
/** 422: no such commit. */
const NO_COMMIT: readonly number[] = [404, 422];

/**
 * "List pull requests associated with a commit" names the merged pull request that introduced a commit of the default
 * branch, so also for each commit that a rebase made; of other commits all pull requests, open or merged, that hold it.
 * `branch`: the one whose changes are asked about.
 */
export async function changeOf(api: RepoApi, commit: Oid, branch: string, signal: Signal): Promise<Change | null> {
  const path = '/commits/{commit}/pulls';
  const page = z.array(listedPullSchema);
  const call = { path, values: { commit }, absent: NO_COMMIT, longestText: UNREAD_TEXT, signal };
  const keyOf = ({ id }: ListedPull) => id;
  const candidates = ((await api.all({ ...call, page, keyOf })) ?? []).filter(
    ({ merged_at }) => typeof merged_at === 'string',
  );
  const rank = ({ base, merge_commit_sha: merge }: ListedPull): number =>
    (base.ref === branch ? 2 : 0) + (merge === commit ? 1 : 0);
  // It may have come by several, each into another branch.
  for (const listed of candidates.toSorted((a, b) => rank(b) - rank(a) || byMerge(b, a))) {
    const pull = await pullOf(api, listed.number, signal);
    // One of a fork has another id under this number.
    if (pull?.id === listed.id) return toChange(pull);
  }
  return null;
}

const byMerge = (a: ListedPull, b: ListedPull): number =>
  Date.parse(a.merged_at ?? '') - Date.parse(b.merged_at ?? '') || a.number - b.number;

/** "Get a commit object" of the Git database. */
export async function hasCommit(api: RepoApi, commit: Oid, signal: Signal): Promise<boolean> {
  const call = { path: '/git/commits/{commit}', values: { commit }, absent: NO_COMMIT, signal };
  return (await api.get(call, z.object({ sha: z.literal(commit) }))) !== null;
}

export function pullOf(api: RepoApi, number: number, signal: Signal): Promise<Pull | null> {
  return api.get({ path: '/pulls/{number}', values: { number }, signal }, pullSchema);
}

/** For what has to be there. Errors: StalledError, TransientError. */
export async function requiredPull(api: RepoApi, number: number, signal: Signal): Promise<Pull> {
  return await api.repository.required(await pullOf(api, number, signal), 'GET /pulls/{number}', signal);
}

export async function openChanges(api: RepoApi, base: string, signal: Signal): Promise<readonly Change[]> {
  const query = { state: 'open', base, sort: 'updated', direction: 'desc' };
  const found: ListedPull[] = [];
  for await (const page of api.pages(
    { path: '/pulls', query, longestText: UNREAD_TEXT, signal },
    z.array(listedPullSchema),
  )) {
    found.push(...page.filter((pull) => pull.base.ref === base && pull.state === 'open'));
    if (found.length >= MOST_OPEN) break;
  }
  const unique = new Map(found.map((pull) => [pull.number, pull]));
  return [...unique.values()].slice(0, MOST_OPEN).map((pull) => toChange({ ...pull, merged_by: null }));
}

/**
 * `merge_commit_sha` is the merge commit, the squashed commit, or of a rebase the commit that the base branch was updated
 * to; before the merge it is that of a trial merge and proves nothing.
 */
export function toChange(pull: ListedPull & Pick<Pull, 'merged_by'>): Change {
  const { head, merged_at: mergedAt, merge_commit_sha: commit, merged_by: by } = pull;
  const isMerged = typeof mergedAt === 'string';
  return {
    number: pull.number,
    url: pull.html_url,
    title: pull.title,
    author: accountOf(pull.user),
    base: pull.base.ref,
    state: isMerged ? 'merged' : pull.state === 'open' ? 'open' : 'closed',
    head: head.sha,
    source: head.repo ? { repo: head.repo.full_name, branch: head.ref } : null,
    merge:
      isMerged && commit && isOid(commit) ? { commit, by: by === null ? null : accountOf(by), at: mergedAt } : null,
    createdAt: pull.created_at,
  };
}
