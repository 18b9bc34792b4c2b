import { z } from 'zod';
import type { Change, ChangeCommit, Review } from '../../../domain/change.ts';
import { isOid, type Oid } from '../../../domain/ids.ts';
import { coAuthorsOf } from '../shared/co-authors.ts';
import { accountOf } from './accounts.ts';
import type { RepoApi } from './api.ts';
import { commitSchema, fileSchema, type Pull, pullSchema, reviewSchema } from './schemas.ts';

type Signal = AbortSignal | undefined;

/** Of texts by anybody that we have no use for: longer than all that we have. */
export const UNREAD_TEXT = 16_384;
const MOST_OPEN = 200;
/** How far open changes are looked through for those into one branch. */
const MOST_OPEN_PAGES = 10;
/** Comments, drafts and requests are none. */
const VERDICTS: Readonly<Record<string, Review['verdict']>> = {
  APPROVED: 'approved',
  REQUEST_CHANGES: 'changes-requested',
};

/** The forge maps a commit only if it is exactly what it remembers as the result of the merge. */
export async function changeOf(api: RepoApi, commit: Oid, signal: Signal): Promise<Change | null> {
  const call = { path: '/commits/{commit}/pull', values: { commit }, longestText: UNREAD_TEXT, signal };
  const pull = await api.get(call, pullSchema);
  const change = pull === null ? null : toChange(pull);
  return change?.merge?.commit === commit ? change : null;
}

export async function hasCommit(api: RepoApi, commit: Oid, signal: Signal): Promise<boolean> {
  const query = { stat: false, verification: false, files: false };
  const call = { path: '/git/commits/{commit}', values: { commit }, query, signal };
  return (await api.get(call, z.object({ sha: z.literal(commit) }))) !== null;
}

export function pullOf(api: RepoApi, number: number, signal: Signal): Promise<Pull | null> {
  return api.get({ path: '/pulls/{number}', values: { number }, longestText: UNREAD_TEXT, signal }, pullSchema);
}

export async function openChanges(api: RepoApi, base: string, signal: Signal): Promise<readonly Change[]> {
  const pulls = await api.all({
    path: '/pulls',
    query: { state: 'open', sort: 'recentupdate' },
    // Anybody may open a change; one that can't be read (its commits are gone) must not hide the others.
    item: z.looseObject({ number: z.int() }),
    keyOf: ({ number }) => number,
    mostPages: MOST_OPEN_PAGES,
    longestText: UNREAD_TEXT,
    signal,
  });
  return (pulls ?? [])
    .flatMap((pull) => pullSchema.safeParse(pull).data ?? [])
    .filter((pull) => pull.base.ref === base && pull.state === 'open')
    .slice(0, MOST_OPEN)
    .map(toChange);
}

export async function reviews(api: RepoApi, number: number, signal: Signal): Promise<readonly Review[]> {
  const path = '/pulls/{number}/reviews';
  const call = { path, values: { number }, longestText: UNREAD_TEXT, signal };
  const found = await api.all({ ...call, item: reviewSchema, keyOf: ({ id }) => id });
  const rows = await api.repository.required(found, `GET ${path}`, signal);
  return (
    rows
      // Too long even alone: only its own author, who wrote the text, has it not counted.
      .flatMap((row) => ('state' in row ? [row] : []))
      .toSorted((a, b) => a.id - b.id)
      .map((row) => ({
        by: accountOf(row.user),
        verdict: VERDICTS[row.state] ?? 'none',
        dismissed: row.dismissed,
        commit: row.commit_id,
        at: row.submitted_at,
        url: row.html_url,
      }))
  );
}

export async function files(api: RepoApi, number: number, signal: Signal): Promise<readonly string[]> {
  const path = '/pulls/{number}/files';
  const found = await api.all({
    path,
    values: { number },
    item: fileSchema,
    keyOf: ({ filename, previous_filename = '' }) => JSON.stringify([filename, previous_filename]),
    signal,
  });
  const rows = await api.repository.required(found, `GET ${path}`, signal);
  const paths = rows.flatMap(({ filename, previous_filename: before }) => [filename, ...(before ? [before] : [])]);
  return [...new Set(paths)];
}

export async function commits(api: RepoApi, number: number, signal: Signal): Promise<readonly ChangeCommit[]> {
  const path = '/pulls/{number}/commits';
  const query = { verification: false, files: false };
  const found = await api.all({ path, values: { number }, query, item: commitSchema, keyOf: ({ sha }) => sha, signal });
  const rows = await api.repository.required(found, `GET ${path}`, signal);
  return rows.map(({ sha, commit, author, committer }) => ({
    oid: sha,
    author: { name: commit.author.name, email: commit.author.email },
    committer: { name: commit.committer.name, email: commit.committer.email },
    coAuthors: coAuthorsOf(commit.message),
    accounts: [author, committer].flatMap((user) => (user === null ? [] : [accountOf(user)])),
  }));
}

export function toChange(pull: Pull): Change {
  const { head } = pull;
  return {
    number: pull.number,
    url: pull.html_url,
    title: pull.title,
    author: accountOf(pull.user),
    base: pull.base.ref,
    state: stateOf(pull),
    head: head.sha,
    // `head.ref` is something else when the branch is gone; who pushed to it is asked by its name all the same.
    source: head.repo === null ? null : { repo: head.repo.full_name, branch: head.label },
    merge: mergeOf(pull),
    createdAt: pull.created_at,
  };
}

function stateOf({ merged, state }: Pull): Change['state'] {
  if (merged) return 'merged';
  return state === 'open' ? 'open' : 'closed';
}

function mergeOf({ merged, merge_commit_sha: commit, merged_at: at, merged_by: by }: Pull): Change['merge'] {
  if (!merged || !commit || !isOid(commit) || !at) return null;
  return { commit, by: by === null ? null : accountOf(by), at };
}
