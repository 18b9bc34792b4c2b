import { z } from 'zod';
import type { ChangeCommit, Review } from '../../../domain/change.ts';
import { StalledError } from '../../../errors.ts';
import { coAuthorsOf } from '../shared/co-authors.ts';
import { accountOf } from './accounts.ts';
import type { RepoApi } from './api.ts';
import { requiredPull } from './changes.ts';
import { standingRejections } from './dismissals.ts';
import { UNREAD_TEXT } from './pages.ts';
import { type Commit, commitSchema, comparisonSchema, fileSchema, type Pull, reviewSchema } from './schemas.ts';

type Signal = AbortSignal | undefined;

/** As documented: these lists end here, however much more there is. */
const MOST_FILES = 3_000;
const MOST_COMMITS = 250;
const SOMEBODY = { name: '', email: '' };

/**
 * A dismissal replaces the state. As the newest word of its author it counts neither way, and hides what this person said
 * before, as a later review would; unless it was a rejection that whoever dismissed it could not take back.
 */
const VERDICTS = {
  APPROVED: { verdict: 'approved', dismissed: false },
  CHANGES_REQUESTED: { verdict: 'changes-requested', dismissed: false },
  DISMISSED: { verdict: 'approved', dismissed: true },
  COMMENTED: { verdict: 'none', dismissed: false },
} as const satisfies Record<string, Pick<Review, 'verdict' | 'dismissed'>>;

/** `admins`: who may ask for rights. */
export async function reviews(
  api: RepoApi,
  admins: RepoApi,
  number: number,
  signal: Signal,
): Promise<readonly Review[]> {
  const path = '/pulls/{number}/reviews';
  const list = { path, values: { number }, longestText: UNREAD_TEXT, signal };
  const found = await api.all({ ...list, page: z.array(reviewSchema), keyOf: ({ id }) => id });
  const rows = await api.repository.required(found, `GET ${path}`, signal);
  // A draft is our own: those of others are not shown.
  const filed = rows.flatMap((row) => (row.state === 'PENDING' ? [] : [row]));
  const standing = await standingRejections([api, admins], number, filed, signal);
  return filed
    .map(({ id, state, user, submitted_at: at, html_url: url, commit_id }) => {
      const verdict = VERDICTS[standing.has(id) ? 'CHANGES_REQUESTED' : state];
      // No commit: it is not in git any more.
      return { ...verdict, by: accountOf(user), commit: commit_id ?? '', at, url };
    })
    .toSorted((a, b) => Date.parse(a.at) - Date.parse(b.at));
}

export async function files(api: RepoApi, number: number, signal: Signal): Promise<readonly string[]> {
  const path = '/pulls/{number}/files';
  const page = z.array(fileSchema);
  const list = { path, values: { number }, longestText: UNREAD_TEXT, signal };
  const found = await api.all({ ...list, page, keyOf: ({ filename }) => filename });
  const rows = await api.repository.required(found, `GET ${path}`, signal);
  if (rows.length >= MOST_FILES) throw tooMuch(`change ${number} touches ${MOST_FILES} files or more`);
  return [...new Set(rows.flatMap(({ filename, previous_filename: before = filename }) => [filename, before]))];
}

export async function commits(api: RepoApi, number: number, signal: Signal): Promise<readonly ChangeCommit[]> {
  const path = '/pulls/{number}/commits';
  const page = z.array(commitSchema);
  const found = await api.all({ path, values: { number }, page, keyOf: ({ sha }) => sha, signal });
  const listed = await api.repository.required(found, `GET ${path}`, signal);
  if (listed.length < MOST_COMMITS) return listed.map(toCommit);
  return (await compared(api, await requiredPull(api, number, signal), signal)).map(toCommit);
}

/** Like `git log base..head`, to its end. */
async function compared(api: RepoApi, pull: Pull, signal: Signal): Promise<readonly Commit[]> {
  const { base, head, number, commits: count } = pull;
  const path = '/compare/{base}...{head}';
  const found = await api.all({
    path,
    values: { base: base.sha, head: head.sha },
    page: comparisonSchema.transform((comparison): readonly Commit[] => comparison.commits),
    keyOf: ({ sha }) => sha,
    signal,
  });
  const rows = await api.repository.required(found, `GET ${path}`, signal);
  if (rows.length < Math.max(count, MOST_COMMITS)) throw tooMuch(`not all commits of change ${number} can be listed`);
  return rows;
}

function toCommit({ sha, commit, author, committer }: Commit): ChangeCommit {
  return {
    oid: sha,
    author: commit.author,
    committer: commit.committer,
    // Too long to be read: it may name anybody.
    coAuthors: typeof commit.message === 'string' ? coAuthorsOf(commit.message) : [SOMEBODY],
    accounts: [author, committer].flatMap((user) => (user === null ? [] : [accountOf(user)])),
  };
}

/** What is cut short proves nothing, and asking again does not help. */
function tooMuch(what: string): StalledError {
  return new StalledError('ERR_FORGE_DENIED', `the forge: ${what}, so that it can not be told what it holds`, {
    hint: 'Propose it again as smaller changes (rerun).',
  });
}
