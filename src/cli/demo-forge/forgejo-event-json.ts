import { repoId, repoJson, userJson, type Voice } from './forgejo-repo-json.ts';
import type { FeedEntry, Permission, Status, User } from './records.ts';
import { type ForgeState, isoTime } from './state.ts';

/** Log of events, statuses and permissions in Forgejo's JSON. */

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

export function permissionJson(voice: Voice, user: User, permission: Permission) {
  return { permission, role_name: permission, user: userJson(voice, user) };
}
