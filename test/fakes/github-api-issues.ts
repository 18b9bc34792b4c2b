import type { ForgeAnswer } from '../../src/cli/demo-forge/forge-server.ts';
import type { Comment, Issue, Pull } from '../../src/cli/demo-forge/records.ts';
import { type Call, failed, NOT_FOUND, ok, page, type Route, textOf } from './github-api-answers.ts';
import { dismissalsOf, listedPullJson, repoJson, userJson, type Voice } from './github-api-json.ts';
import { type Told, timelineOf } from './github-api-log.ts';

/** The part of GitHub's dialect that every repository of the fake forge has: issues, and who may what. */
export const ISSUE_ROUTES: readonly Route[] = [
  ['GET', /^$/, (call) => ok({ ...repoJson(call), ...trackerJson(call) })],
  ['GET', /^\/issues$/, issues],
  ['GET', /^\/issues\/(\d+)$/, ofIssue((_call, issue) => ok(issue))],
  [
    'GET',
    /^\/issues\/(\d+)\/labels$/,
    ofIssue((call, { labels }) =>
      page(
        call,
        () => labels,
        (label) => label,
      ),
    ),
  ],
  ['GET', /^\/issues\/(\d+)\/timeline$/, ofIssue((call) => shown(call, timeline(call)))],
  ['GET', /^\/issues\/(\d+)\/events$/, ofIssue((call) => shown(call, timeline(call).filter(isEvent)))],
  ['GET', /^\/issues\/(\d+)\/comments$/, ofIssue(comments)],
  ['POST', /^\/issues\/(\d+)\/comments$/, addComment],
  ['PATCH', /^\/issues\/comments\/(\d+)$/, editComment],
  ['GET', /^\/collaborators\/([^/]+)\/permission$/, permission],
];

type IssueJson = ReturnType<typeof issueJson>;

function trackerJson({ tracker, asker, origin }: Call) {
  const permissions = {
    admin: tracker.may(asker, 'admin'),
    push: tracker.may(asker, 'write'),
    pull: tracker.may(asker, 'read'),
  };
  const html_url = `${origin}/${tracker.name}`;
  return { full_name: tracker.name, html_url, has_issues: tracker.hasIssues, permissions };
}

/** Where issues are switched off, and of what was deleted: 410. */
function ofIssue(answer: (call: Call, issue: IssueJson) => ForgeAnswer): Route[2] {
  return (call) => {
    const found = allOf(call).find(({ number }) => number === Number(call.parts[0]));
    if (found !== undefined) return answer(call, found);
    return call.tracker.hasIssues ? NOT_FOUND : SWITCHED_OFF;
  };
}

const SWITCHED_OFF = failed(410, 'Issues are disabled for this repo');

/** Issues and pull requests that carry all these labels. */
function issues(call: Call): ForgeAnswer {
  const { query } = call.request;
  if (!call.tracker.hasIssues) return SWITCHED_OFF;
  const labels = (query.get('labels') ?? '').split(',').filter((label) => label !== '');
  const wanted = query.get('state') ?? 'open';
  const from = Date.parse(query.get('since') ?? '1970-01-01T00:00:00Z');
  const list = () =>
    allOf(call)
      .filter((each) => labels.every((label) => each.labels.some(({ name }) => name === label)))
      .filter(({ state }) => wanted === 'all' || state === wanted)
      .filter(({ updated_at: at }) => Date.parse(at) >= from)
      .toSorted((a, b) => (query.get('direction') === 'asc' ? a.number - b.number : b.number - a.number));
  return page(call, list, (each) => each);
}

function allOf(call: Call): readonly IssueJson[] {
  const own = call.tracker.hasIssues ? call.tracker.issues.map((issue) => issueJson(call, issue)) : [];
  const { state, tracker } = call;
  return [...own, ...(tracker === state.home ? state.pulls.map((pull) => pullAsIssueJson(call, pull)) : [])];
}

const isEvent = ({ event, sha }: Told): boolean => sha === undefined && event !== 'commented' && event !== 'reviewed';

function timeline({ state, tracker, knobs, parts }: Call): readonly Told[] {
  const number = Number(parts[0]);
  const own = tracker.events.filter(({ pull }) => pull === number).flatMap(timelineOf);
  const ofChanges = tracker === state.home && !knobs.hidesDismissals;
  const dismissals = ofChanges ? dismissalsOf(state, number, knobs.dismissers) : [];
  const by = state.owner;
  const more = knobs.moreEvents.map((event, id): Told => ({ id, event, by, at: by.createdAt }));
  return [...own, ...dismissals, ...more];
}

function shown(call: Call, events: readonly Told[]): ForgeAnswer {
  return page(
    call,
    () => events,
    ({ event, by, at, id, sha, ...rest }) => {
      if (sha !== undefined) return { event, sha, node_id: `C_${sha}` };
      return { id, event, actor: by === null ? null : userJson(call, by), created_at: at, ...rest };
    },
  );
}

function comments(call: Call): ForgeAnswer {
  return page(
    call,
    () => call.tracker.comments.filter(({ number }) => number === Number(call.parts[0])),
    (comment) => commentJson(call, comment),
  );
}

function addComment(call: Call): ForgeAnswer {
  const comment = call.tracker.comment(call.asker.login, Number(call.parts[0]), textOf(call, 'body'));
  return { status: 201, body: commentJson(call, comment) };
}

function editComment(call: Call): ForgeAnswer {
  const { tracker, asker, parts } = call;
  return ok(commentJson(call, tracker.editComment(asker.login, Number(parts[0]), textOf(call, 'body'))));
}

/** Whoever may push may ask. `maintain` reads `write`, owners of the organisation read `admin`. */
function permission({ state, tracker, asker, parts, origin }: Call): ForgeAnswer {
  if (!tracker.may(asker, 'write')) return failed(403, 'Must have push access to view collaborator permission.');
  const user = state.findUser(parts[0] ?? '');
  if (user === null) return NOT_FOUND;
  const level = tracker.permission(user) === 'owner' ? 'admin' : tracker.permission(user);
  return ok({ permission: level, role_name: level, user: userJson({ origin }, user) });
}

function commentJson({ tracker, ...voice }: Call, { id, number, by, body, createdAt, updatedAt }: Comment) {
  return {
    id,
    html_url: `${voice.origin}/${tracker.name}/issues/${number}#issuecomment-${id}`,
    body,
    user: userJson(voice, by),
    created_at: createdAt,
    updated_at: updatedAt,
    author_association: 'MEMBER',
    performed_via_github_app: null,
  };
}

function issueJson({ tracker, origin }: Pick<Call, 'tracker' | 'origin'>, issue: Issue) {
  const { id, number, title, body, labels, state, isChange, createdAt, updatedAt } = issue;
  const html_url = `${origin}/${tracker.name}/${isChange ? 'pull' : 'issues'}/${number}`;
  return {
    id,
    number,
    title,
    body: body === '' ? null : body,
    state,
    html_url,
    user: userJson({ origin }, issue.author),
    labels: labels.map((label) => ({ ...label, color: 'ee0701', default: false, description: null })),
    created_at: createdAt,
    updated_at: updatedAt,
    closed_at: null as string | null,
    ...(isChange ? { pull_request: { html_url } } : {}),
  };
}

/** GitHub's list of issues holds pull requests as well. */
function pullAsIssueJson(voice: Voice & Pick<Call, 'tracker'>, pull: Pull): IssueJson {
  const { closed_at } = listedPullJson(voice, pull);
  const told = { ...pull, author: pull.opener, body: '', labels: [], isChange: true };
  return { ...issueJson(voice, told), closed_at };
}
