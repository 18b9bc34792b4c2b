import { createHash } from 'node:crypto';
import type { IssueRepo } from './issue-repo.ts';
import type { User } from './records.ts';
import type { ForgeState } from './state.ts';

/** Accounts and the repository in Forgejo's JSON: the fields of a live one, constant where nothing depends on them. */

export const NEVER = '0001-01-01T00:00:00Z';

/** What every body needs to know. */
export interface Voice {
  readonly state: ForgeState;
  readonly origin: string;
  /** null: nobody. */
  readonly asker: User | null;
  /** Whose issues it is about. Absent: the repository's own. */
  readonly tracker?: IssueRepo;
}

export function userJson({ origin }: Voice, user: User | null) {
  const { id, login, email, createdAt } =
    user?.gone === false ? user : { id: -1, login: 'Ghost', email: '', createdAt: NEVER };
  return {
    id,
    login,
    login_name: '',
    source_id: 0,
    full_name: '',
    email,
    avatar_url: `${origin}/avatars/${createHash('md5').update(login).digest('hex')}`,
    html_url: `${origin}/${login}`,
    language: '',
    is_admin: false,
    last_login: NEVER,
    created: createdAt,
    restricted: false,
    active: false,
    prohibit_login: false,
    location: '',
    pronouns: '',
    website: '',
    description: '',
    visibility: 'public',
    followers_count: 0,
    following_count: 0,
    starred_repos_count: 0,
    username: login,
  };
}

const REPO_CONSTANTS = {
  has_issues: true,
  internal_tracker: {
    enable_time_tracker: true,
    allow_only_contributors_to_track_time: true,
    enable_issue_dependencies: true,
  },
  has_wiki: true,
  wiki_branch: 'main',
  globally_editable_wiki: false,
  has_pull_requests: true,
  has_projects: true,
  has_releases: true,
  has_packages: true,
  has_actions: false,
  ignore_whitespace_conflicts: false,
  allow_merge_commits: true,
  allow_rebase: true,
  allow_rebase_explicit: true,
  allow_squash_merge: true,
  allow_fast_forward_only_merge: true,
  allow_rebase_update: true,
  default_delete_branch_after_merge: false,
  default_merge_style: 'merge',
  default_allow_maintainer_edit: false,
  avatar_url: '',
  internal: false,
  mirror_interval: '',
  object_format_name: 'sha1',
  mirror_updated: NEVER,
  repo_transfer: null,
  topics: null,
};

/** `fork`: the copy of this owner. */
export function repoJson(voice: Voice, fork: string | null = null) {
  const { state, origin, asker } = voice;
  const owner = fork === null ? state.owner : state.user(fork);
  const name = state.repo.split('/')[1] ?? '';
  const full = `${owner.login}/${name}`;
  const may = (role: 'read' | 'write' | 'admin') => asker !== null && state.may(asker, role);
  return {
    id: repoId(fork, owner),
    owner: userJson(voice, owner),
    name,
    full_name: full,
    description: '',
    empty: false,
    private: true,
    fork: fork !== null,
    template: false,
    parent: null,
    mirror: false,
    size: 28,
    language: '',
    languages_url: `${origin}/api/v1/repos/${full}/languages`,
    html_url: `${origin}/${full}`,
    url: `${origin}/api/v1/repos/${full}`,
    link: '',
    ssh_url: `forge@127.0.0.1:${full}.git`,
    clone_url: `${origin}/${full}.git`,
    original_url: '',
    website: '',
    stars_count: 0,
    forks_count: 0,
    watchers_count: 1,
    open_issues_count: 0,
    open_pr_counter: state.pulls.filter((pull) => pull.state === 'open').length,
    release_counter: 0,
    default_branch: state.branch,
    archived: false,
    created_at: owner.createdAt,
    updated_at: owner.createdAt,
    archived_at: '1970-01-01T00:00:00Z',
    permissions: { admin: may('admin'), push: may('write'), pull: may('read') },
    ...REPO_CONSTANTS,
  };
}

/** A repository that has nothing but issues. */
export function issueRepoJson(voice: Voice, tracker: IssueRepo) {
  const { state, asker } = voice;
  const [owner = '', name = ''] = tracker.name.split('/');
  const may = (role: 'read' | 'write' | 'admin') => asker !== null && tracker.may(asker, role);
  return {
    ...repoJson(voice),
    id: 2 + state.issueRepos.indexOf(tracker),
    owner: userJson(voice, state.findUser(owner)),
    name,
    full_name: tracker.name,
    html_url: `${voice.origin}/${tracker.name}`,
    url: `${voice.origin}/api/v1/repos/${tracker.name}`,
    open_pr_counter: 0,
    permissions: { admin: may('admin'), push: may('write'), pull: may('read') },
    has_issues: tracker.hasIssues,
  };
}

export function repoId(fork: string | null, owner: User): number {
  return fork === null ? 1 : 1000 + owner.id;
}

/** Web page of a change. */
export function pullPage({ state, origin }: Voice, number: number): string {
  return `${origin}/${state.repo}/pulls/${number}`;
}

/** Web page of an issue. */
export function issuePage({ state, origin, tracker = state.home }: Voice, number: number): string {
  return `${origin}/${tracker.name}/issues/${number}`;
}
