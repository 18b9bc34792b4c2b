import { NEVER, pullPage, repoJson, userJson, type Voice } from './forgejo-repo-json.ts';
import type { StoredCommit } from './git-store.ts';
import { commitsOf, filesOf, reviewersOf } from './reading.ts';
import type { Pull, Review } from './records.ts';
import { isoTime } from './state.ts';

/** Changes, their files, commits and reviews in Forgejo's JSON. */

export function pullJson(voice: Voice, pull: Pull) {
  const { state } = voice;
  const page = pullPage(voice, pull.number);
  const files = filesOf(state, pull);
  const sum = (key: 'additions' | 'deletions') => files.reduce((total, file) => total + file[key], 0);
  const reviewers = reviewersOf(state, pull).map((user) => userJson(voice, user));
  const reviews = state.reviews.filter((each) => each.pull === pull.number && each.state !== 'requested');
  return {
    id: pull.id,
    url: page,
    number: pull.number,
    user: userJson(voice, pull.opener),
    title: pull.title,
    body: '',
    labels: [],
    milestone: null,
    assignee: null,
    assignees: null,
    requested_reviewers: reviewers.length === 0 ? null : reviewers,
    requested_reviewers_teams: null,
    state: pull.state,
    draft: false,
    is_locked: false,
    comments: state.comments.filter(({ number }) => number === pull.number).length,
    review_comments: reviews.filter((each) => each.state !== 'pending').length,
    additions: sum('additions'),
    deletions: sum('deletions'),
    changed_files: files.length,
    html_url: page,
    diff_url: `${page}.diff`,
    patch_url: `${page}.patch`,
    mergeable: true,
    merged: pull.merge !== null,
    merged_at: pull.merge?.at ?? null,
    merge_commit_sha: pull.merge?.commit ?? null,
    merged_by: pull.merge === null ? null : userJson(voice, pull.merge.by),
    allow_maintainer_edit: false,
    base: sideJson(voice, { ref: pull.base, sha: state.tip(pull.base) ?? '', fork: null }),
    head: headJson(voice, pull),
    merge_base: pull.mergeBase,
    due_date: null,
    created_at: pull.createdAt,
    updated_at: pull.updatedAt,
    closed_at: pull.closedAt,
    pin_order: 0,
  };
}

/** It follows the branch, also after the merge; without a branch it is what the forge knows. */
function headJson(voice: Voice, pull: Pull) {
  const { branch, fork } = pull.head;
  const tip = voice.state.headTip(pull);
  const ref = tip === null ? `refs/pull/${pull.number}/head` : branch;
  return { ...sideJson(voice, { ref, sha: tip ?? pull.knownHead, fork }), label: branch };
}

function sideJson(
  voice: Voice,
  { ref, sha, fork }: { readonly ref: string; readonly sha: string; readonly fork: string | null },
) {
  const repo = repoJson(voice, fork);
  return { label: ref, ref, sha, repo_id: repo.id, repo };
}

const REVIEW_STATES = {
  approved: 'APPROVED',
  'changes-requested': 'REQUEST_CHANGES',
  comment: 'COMMENT',
  pending: 'PENDING',
  requested: 'REQUEST_REVIEW',
} as const;

export function reviewJson(voice: Voice, review: Review) {
  const page = pullPage(voice, review.pull);
  const { id, by, body, commit, stale, official, dismissed, createdAt, updatedAt } = review;
  return {
    id,
    user: userJson(voice, by),
    team: null,
    state: REVIEW_STATES[review.state],
    body,
    commit_id: commit,
    stale,
    official,
    dismissed,
    comments_count: 0,
    submitted_at: createdAt,
    updated_at: updatedAt,
    html_url: review.state === 'requested' ? '' : `${page}#issuecomment-${review.eventId}`,
    pull_request_url: page,
  };
}

export function fileJson({ state, origin }: Voice, pull: Pull) {
  const web = `${origin}/${state.repo}`;
  return filesOf(state, pull).map(({ path, kind, additions, deletions }) => ({
    filename: path,
    status: kind,
    additions,
    deletions,
    changes: additions + deletions,
    html_url: `${web}/src/commit/${pull.knownHead}/${path}`,
    contents_url: `${origin}/api/v1/repos/${state.repo}/contents/${path}?ref=${pull.knownHead}`,
    raw_url: `${web}/raw/commit/${pull.knownHead}/${path}`,
  }));
}

export function commitsJson(voice: Voice, pull: Pull) {
  return commitsOf(voice.state, pull).map((commit) => commitJson(voice, commit));
}

function commitJson(voice: Voice, commit: StoredCommit) {
  const { state, origin } = voice;
  const url = (oid: string) => `${origin}/api/v1/repos/${state.repo}/git/commits/${oid}`;
  const [authored, committed] = [isoTime(commit.authoredAt), isoTime(commit.committedAt)];
  const account = (email: string) => {
    const user = state.users.find((each) => each.email === email && !each.gone);
    return user === undefined ? null : userJson(voice, user);
  };
  return {
    url: url(commit.oid),
    sha: commit.oid,
    created: committed,
    html_url: `${origin}/${state.repo}/commit/${commit.oid}`,
    commit: {
      url: url(commit.oid),
      author: { ...commit.author, date: authored },
      committer: { ...commit.committer, date: committed },
      message: commit.message,
      tree: {
        url: `${origin}/api/v1/repos/${state.repo}/git/trees/${commit.tree}`,
        sha: commit.tree,
        created: committed,
      },
      verification: {
        verified: false,
        reason: 'gpg.error.not_signed_commit',
        signature: '',
        signer: null,
        payload: '',
      },
    },
    author: account(commit.author.email),
    committer: account(commit.committer.email),
    parents: commit.parents.map((oid) => ({ url: url(oid), sha: oid, created: NEVER })),
    files: null,
    stats: null,
  };
}
