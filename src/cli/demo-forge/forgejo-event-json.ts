import { issuePage, pullPage, repoId, repoJson, userJson, type Voice } from './forgejo-repo-json.ts';
import type { Comment, FeedEntry, Issue, Permission, Status, TimelineEvent, User } from './records.ts';
import { type ForgeState, isoTime } from './state.ts';

/** Timeline, log of events, comments, statuses, issues and permissions in Forgejo's JSON. */

const EVENT_TYPES = {
  push: 'pull_push',
  review: 'review',
  'review-request': 'review_request',
  merge: 'merge_pull',
  schedule: 'pull_scheduled_merge',
  comment: 'comment',
  close: 'close',
  retarget: 'change_target_branch',
} as const;

export function eventJson(voice: Voice, event: TimelineEvent) {
  const { id, kind, by, at, body, push, review } = event;
  const pushed = push === null ? null : JSON.stringify({ is_force_push: push.forced, commit_ids: push.commits });
  const page = pullPage(voice, event.pull);
  return {
    id,
    type: EVENT_TYPES[kind],
    html_url: `${page}#issuecomment-${id}`,
    pull_request_url: page,
    issue_url: '',
    user: userJson(voice, by),
    body: pushed ?? body,
    created_at: at,
    updated_at: at,
    ref_commit_sha: '',
    review_id: review,
  };
}

const FEED_TYPES = {
  push: 'commit_repo',
  merge: 'merge_pull_request',
  'scheduled-merge': 'auto_merge_pull_request',
  open: 'create_pull_request',
} as const;
const FEED_COMMITS = 5;

export function feedJson(voice: Voice, entry: FeedEntry) {
  const { id, kind, by, pull, ref, at } = entry;
  const content = pull === null ? pushContent(voice, entry) : `${pull.number}|${pull.title}`;
  return {
    id,
    user_id: by.id,
    op_type: FEED_TYPES[kind],
    act_user_id: by.id,
    act_user: userJson(voice, by),
    repo_id: repoId(null, by),
    repo: repoJson(voice),
    comment_id: 0,
    comment: null,
    ref_name: ref,
    is_private: true,
    content,
    created: at,
  };
}

function pushContent({ state }: Voice, { push }: FeedEntry): string {
  if (push === null) return '';
  const shown = push.commits.map((oid) => pushedCommit(state, oid));
  return JSON.stringify({
    Commits: shown.slice(0, FEED_COMMITS),
    HeadCommit: pushedCommit(state, push.after),
    CompareURL: `${state.repo}/compare/${push.before}...${push.after}`,
    Len: push.commits.length,
  });
}

function pushedCommit({ store }: ForgeState, oid: string) {
  const commit = store.commit(oid);
  return {
    Sha1: oid,
    Message: commit?.message ?? '',
    AuthorEmail: commit?.author.email,
    AuthorName: commit?.author.name,
    CommitterEmail: commit?.committer.email,
    CommitterName: commit?.committer.name,
    Timestamp: isoTime(commit?.authoredAt ?? 0),
  };
}

export function commentJson(voice: Voice, comment: Comment) {
  const { id, number, by, body, createdAt, updatedAt } = comment;
  const onPull = voice.state.pulls.some((pull) => pull.number === number);
  const [pullUrl, issueUrl] = onPull ? [pullPage(voice, number), ''] : ['', issuePage(voice, number)];
  return {
    id,
    html_url: `${pullUrl}${issueUrl}#issuecomment-${id}`,
    pull_request_url: pullUrl,
    issue_url: issueUrl,
    user: userJson(voice, by),
    original_author: '',
    original_author_id: 0,
    body,
    assets: [],
    created_at: createdAt,
    updated_at: updatedAt,
  };
}

export function statusJson(voice: Voice, status: Status) {
  const { id, state, url, description, commit, context, by, at } = status;
  return {
    id,
    status: state,
    target_url: url,
    description,
    url: `${voice.origin}/api/v1/repos/${voice.state.repo}/statuses/${commit}`,
    context,
    creator: userJson(voice, by),
    created_at: at,
    updated_at: at,
  };
}

export function issueJson(voice: Voice, issue: Issue) {
  const { state, origin } = voice;
  const { id, number, title, body } = issue;
  const api = `${origin}/api/v1/repos/${state.repo}`;
  return {
    id,
    url: `${api}/issues/${number}`,
    html_url: issuePage(voice, number),
    number,
    user: userJson(voice, issue.author),
    original_author: '',
    original_author_id: 0,
    title,
    body,
    ref: '',
    assets: [],
    labels: issue.labels.map((name, index) => ({
      id: index + 1,
      name,
      exclusive: false,
      is_archived: false,
      color: 'ee0701',
      description: '',
      url: `${api}/labels/${index + 1}`,
    })),
    milestone: null,
    assignee: null,
    assignees: null,
    state: issue.state,
    is_locked: false,
    comments: state.comments.filter((comment) => comment.number === number).length,
    created_at: issue.createdAt,
    updated_at: issue.updatedAt,
    closed_at: null,
    due_date: null,
    pull_request: null,
    repository: repositoryJson(state),
    pin_order: 0,
  };
}

function repositoryJson({ repo, owner }: ForgeState) {
  return { id: 1, name: repo.split('/')[1], owner: owner.login, full_name: repo };
}

export function permissionJson(voice: Voice, user: User, permission: Permission) {
  return { permission, role_name: permission, user: userJson(voice, user) };
}
