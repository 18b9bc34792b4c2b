import { issuePage, pullPage, userJson, type Voice } from './forgejo-repo-json.ts';
import type { IssueRepo } from './issue-repo.ts';
import type { Comment, Issue, Label, Pull, TimelineEvent } from './records.ts';

/** Issues with their labels, comments and timelines in Forgejo's JSON. */

export function issueJson(voice: Voice, issue: Issue) {
  const { number } = issue;
  const page = issue.isChange ? pullPage(voice, number) : issuePage(voice, number);
  return {
    ...numberedJson(voice, number),
    id: issue.id,
    html_url: page,
    user: userJson(voice, issue.author),
    title: issue.title,
    body: issue.body,
    labels: issue.labels.map((label) => labelJson(voice, label)),
    state: issue.state,
    created_at: issue.createdAt,
    updated_at: issue.updatedAt,
    pull_request: issue.isChange ? { merged: false, merged_at: null, draft: false, html_url: page } : null,
  };
}

/** A change, as it stands among the issues. */
export function pullAsIssueJson(voice: Voice, pull: Pull) {
  return issueJson(voice, { ...pull, author: pull.opener, body: '', labels: [], isChange: true });
}

/** In the order of the real one: whatever is cut behind a long text is missing. */
function numberedJson(voice: Voice, number: number) {
  const tracker = trackerOf(voice);
  return {
    id: 0,
    url: `${apiOf(voice)}/issues/${number}`,
    html_url: '',
    number,
    user: {},
    original_author: '',
    original_author_id: 0,
    title: '',
    body: '',
    ref: '',
    assets: [],
    labels: [] as readonly unknown[],
    milestone: null,
    assignee: null,
    assignees: null,
    state: 'open',
    is_locked: false,
    comments: tracker.comments.filter((comment) => comment.number === number).length,
    created_at: '',
    updated_at: '',
    closed_at: null,
    due_date: null,
    pull_request: null,
    repository: repositoryJson(tracker),
    pin_order: 0,
  };
}

export function labelJson(voice: Voice, { id, name }: Label) {
  const url = `${apiOf(voice)}/labels/${id}`;
  return { id, name, exclusive: false, is_archived: false, color: 'ee0701', description: '', url };
}

export function commentJson(voice: Voice, comment: Comment) {
  const { id, number, by, body, createdAt, updatedAt } = comment;
  const [pullUrl, issueUrl] = pagesOf(voice, number);
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

const EVENT_TYPES = {
  push: 'pull_push',
  review: 'review',
  'review-request': 'review_request',
  merge: 'merge_pull',
  schedule: 'pull_scheduled_merge',
  comment: 'comment',
  close: 'close',
  reopen: 'reopen',
  retarget: 'change_target_branch',
  title: 'change_title',
  label: 'label',
} as const;

export function eventJson(voice: Voice, event: TimelineEvent) {
  const { id, kind, by, at, review, label } = event;
  const [pullUrl, issueUrl] = pagesOf(voice, event.pull);
  return {
    id,
    type: EVENT_TYPES[kind],
    html_url: `${pullUrl}${issueUrl}#issuecomment-${id}`,
    pull_request_url: pullUrl,
    issue_url: issueUrl,
    user: userJson(voice, by),
    body: bodyOf(event),
    created_at: at,
    updated_at: at,
    ref_commit_sha: '',
    review_id: review,
    // By its present name, though the event is old.
    label: label === null ? null : labelJson(voice, label.label),
  };
}

function bodyOf({ body, push, label }: TimelineEvent): string {
  if (label !== null) return label.isAdded ? '1' : '';
  if (push === null) return body;
  return JSON.stringify({ is_force_push: push.forced, commit_ids: push.commits });
}

/** Of a change, and of an issue; the other one is empty. */
function pagesOf(voice: Voice, number: number): readonly [pull: string, issue: string] {
  const isPull = trackerOf(voice) === voice.state.home && voice.state.pulls.some((pull) => pull.number === number);
  return isPull ? [pullPage(voice, number), ''] : ['', issuePage(voice, number)];
}

const trackerOf = ({ tracker, state }: Voice): IssueRepo => tracker ?? state.home;
const apiOf = (voice: Voice): string => `${voice.origin}/api/v1/repos/${trackerOf(voice).name}`;

function repositoryJson({ name: full }: IssueRepo) {
  const [owner, name] = full.split('/');
  return { id: 1, name, owner, full_name: full };
}
