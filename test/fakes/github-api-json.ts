import type { StoredCommit } from '../../src/cli/demo-forge/git-store.ts';
import { commitsOf, filesOf } from '../../src/cli/demo-forge/reading.ts';
import type { Pull, Review, Status, User } from '../../src/cli/demo-forge/records.ts';
import { type ForgeState, isoTime } from '../../src/cli/demo-forge/state.ts';
import { landingOf, type Told } from './github-api-log.ts';

/** The model in GitHub's JSON, as far as it is documented and read by somebody. */

export interface Voice {
  readonly state: ForgeState;
  readonly origin: string;
  readonly asker: User;
}

/** null: the account is gone. */
export function userJson({ origin }: Pick<Voice, 'origin'>, user: User) {
  if (user.gone) return null;
  const { id, login, isBot } = user;
  return { id, login, type: isBot ? 'Bot' : 'User', site_admin: user.isSiteAdmin, html_url: `${origin}/${login}` };
}

export function repoJson({ state, origin, asker }: Voice, fork: string | null = null) {
  const owner = fork === null ? state.owner : state.user(fork);
  const name = state.repo.split('/')[1] ?? '';
  const full_name = `${owner.login}/${name}`;
  return {
    id: 1000 + owner.id,
    name,
    full_name,
    owner: userJson({ origin }, owner),
    private: true,
    html_url: `${origin}/${full_name}`,
    fork: fork !== null,
    archived: false,
    default_branch: state.branch,
    permissions: { admin: state.may(asker, 'admin'), push: state.may(asker, 'write'), pull: state.may(asker, 'read') },
  };
}

/** As in a list. */
export function listedPullJson(voice: Voice, pull: Pull) {
  const { state, origin } = voice;
  return {
    id: pull.id,
    number: pull.number,
    state: pull.state,
    locked: false,
    title: pull.title,
    user: userJson(voice, pull.opener),
    body: null,
    html_url: `${origin}/${state.repo}/pull/${pull.number}`,
    created_at: pull.createdAt,
    updated_at: pull.updatedAt,
    closed_at: pull.closedAt,
    merged_at: pull.merge?.at ?? null,
    // Of an open one that of a trial merge.
    merge_commit_sha: pull.merge?.commit ?? 'f'.repeat(40),
    head: headJson(voice, pull),
    base: baseJson(voice, pull),
    draft: false,
    auto_merge:
      pull.scheduled === null
        ? null
        : { enabled_by: userJson(voice, pull.scheduled.by), merge_method: pull.scheduled.style },
  };
}

/** It does not move any more after the merge. `repo` and `user` of a fork go with its owner. */
function headJson(voice: Voice, { head: { fork, branch }, merge, ...pull }: Pull) {
  const { state } = voice;
  const owner = fork === null ? state.owner : state.users.find(({ login }) => login === fork);
  const tip = state.tip(fork === null ? branch : `${fork}:${branch}`);
  const sha = merge === null ? (tip ?? pull.knownHead) : pull.knownHead;
  const isGone = owner === undefined || owner.gone;
  return {
    label: `${fork ?? state.owner.login}:${branch}`,
    ref: branch,
    sha,
    user: isGone ? null : userJson(voice, owner),
    repo: isGone ? null : repoJson(voice, fork),
  };
}

function baseJson(voice: Voice, pull: Pull) {
  const { state } = voice;
  return {
    label: `${state.owner.login}:${pull.base}`,
    ref: pull.base,
    sha: landingOf(state, pull)?.push.before ?? pull.mergeBase,
    user: userJson(voice, state.owner),
    repo: repoJson(voice),
  };
}

/** Who merged is who pushed: nothing that a commit claims changes it. */
export function pullJson(voice: Voice, pull: Pull) {
  const merger = pull.merge === null ? null : (landingOf(voice.state, pull)?.by ?? pull.merge.by);
  return {
    ...listedPullJson(voice, pull),
    merged: pull.merge !== null,
    mergeable: pull.merge === null ? true : null,
    merged_by: merger === null ? null : userJson(voice, merger),
    comments: voice.state.comments.filter(({ number }) => number === pull.number).length,
    commits: commitsOf(voice.state, pull).length,
    changed_files: filesOf(voice.state, pull).length,
  };
}

const REVIEW_STATES = {
  approved: 'APPROVED',
  'changes-requested': 'CHANGES_REQUESTED',
  comment: 'COMMENTED',
  pending: 'PENDING',
  requested: 'PENDING',
} as const;

export function reviewJson(voice: Voice, review: Review) {
  const { state, origin } = voice;
  const { id, by, body, commit, pull, createdAt } = review;
  const html_url = `${origin}/${state.repo}/pull/${pull}#pullrequestreview-${id}`;
  return {
    id,
    user: userJson(voice, by),
    body,
    state: isDismissed(state, review) ? 'DISMISSED' : REVIEW_STATES[review.state],
    html_url,
    ...(review.state === 'pending' ? {} : { submitted_at: createdAt }),
    commit_id: state.store.commit(commit) === null ? null : commit,
    author_association: 'MEMBER',
  };
}

/** A later verdict of the same person dismisses nothing here, other than on the forge that the model was made after. */
function isDismissed({ reviews }: ForgeState, { id, pull, by, dismissed }: Review): boolean {
  const isLater = (other: Review): boolean =>
    other.id > id && other.pull === pull && other.by === by && ['approved', 'changes-requested'].includes(other.state);
  return dismissed && !reviews.some(isLater);
}

/** Each with the state that it took away. `dismissers`: logins by id of the review; of others the owner. */
export function dismissalsOf(state: ForgeState, number: number, dismissers: ReadonlyMap<number, string>): Told[] {
  const rows = state.reviews.filter((review) => review.pull === number && isDismissed(state, review));
  return rows.map(({ id, state: said, updatedAt: at }) => {
    const by = state.user(dismissers.get(id) ?? state.owner.login);
    return {
      id,
      event: 'review_dismissed',
      by,
      at,
      dismissed_review: { state: said.replace('-', '_'), review_id: id },
    };
  });
}

export function fileJson({ path, kind, additions, deletions, after }: ReturnType<typeof filesOf>[number]) {
  const status = { added: 'added', changed: 'modified', deleted: 'removed' }[kind];
  return { sha: after, filename: path, status, additions, deletions, changes: additions + deletions };
}

export function commitJson(voice: Voice, { oid, author, committer, ...commit }: StoredCommit) {
  const account = (email: string) => {
    const user = voice.state.users.find((each) => each.email === email && !each.gone);
    return user === undefined ? null : userJson(voice, user);
  };
  return {
    sha: oid,
    html_url: `${voice.origin}/${voice.state.repo}/commit/${oid}`,
    commit: {
      author: { ...author, date: isoTime(commit.authoredAt) },
      committer: { ...committer, date: isoTime(commit.committedAt) },
      message: commit.message,
      tree: { sha: commit.tree },
    },
    author: account(author.email),
    committer: account(committer.email),
    parents: commit.parents.map((sha) => ({ sha })),
  };
}

export function statusJson(voice: Voice, { id, state, context, description, url, by, at }: Status) {
  return {
    id,
    state,
    context,
    description,
    target_url: url === '' ? null : url,
    creator: userJson(voice, by),
    created_at: at,
    updated_at: at,
  };
}
