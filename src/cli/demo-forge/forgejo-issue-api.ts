import type { ForgeAnswer } from './forge-server.ts';
import { type Call, failed, get, NOT_FOUND, ok, page, type Route, textOf } from './forgejo-answers.ts';
import { commentJson, eventJson, issueJson, labelJson, pullAsIssueJson } from './forgejo-issue-json.ts';
import { userJson } from './forgejo-repo-json.ts';
import type { Issue, Pull } from './records.ts';

/** The part of Forgejo's dialect that is about issues, for every repository of the fake forge. */
export const ISSUE_ROUTES: readonly Route[] = [
  get(/^\/issues$/, 'issue', issues),
  get(/^\/issues\/(\d+)$/, 'issue', (call) => {
    const found = numbered(call);
    return found === null || (!call.tracker.hasIssues && !isChange(found))
      ? failed(call, 404, NOT_FOUND)
      : ok(show(call, found));
  }),
  get(/^\/issues\/(\d+)\/labels$/, 'issue', (call) => {
    const found = numbered(call);
    if (found === null) return failed(call, 404, NOT_FOUND);
    return ok('labels' in found ? found.labels.map((label) => labelJson(call, label)) : []);
  }),
  get(/^\/issues\/(\d+)\/timeline$/, 'issue', (call) => {
    // As seen: a fault of its own.
    if (numbered(call) === null) return failed(call, 500, '');
    const events = call.tracker.events.filter(({ pull }) => pull === numberOf(call));
    const cut = page(call, events, { allWithoutPage: true, show: (event) => eventJson(call, event) });
    // It counts what is on this page.
    return { ...cut, headers: { 'x-total-count': `${(cut.body as readonly unknown[]).length}` } };
  }),
  get(/^\/issues\/(\d+)\/comments$/, 'issue', (call) => {
    if (numbered(call) === null) return failed(call, 500, '');
    const comments = call.tracker.comments.filter(({ number }) => number === numberOf(call));
    return ok(
      comments.map((each) => commentJson(call, each)),
      { 'x-total-count': `${comments.length}` },
    );
  }),
  // In one piece, whatever is asked for.
  get(/^\/assignees$/, 'repository', (call) => ok(call.tracker.assignees().map((user) => userJson(call, user)))),
  get(/^\/teams$/, 'repository', teams),
  { method: 'POST', path: /^\/issues\/(\d+)\/comments$/, scope: 'issue', inRepo: true, answer: addComment },
  { method: 'PATCH', path: /^\/issues\/comments\/(\d+)$/, scope: 'issue', inRepo: true, answer: editComment },
];

/** Labels that are not known are left out of the filter without a word; if none is left, every issue comes. */
function issues(call: Call): ForgeAnswer {
  const { tracker, request } = call;
  const { query } = request;
  const known = new Set(tracker.labels.map(({ name }) => name));
  const labels = (query.get('labels') ?? '').split(',').filter((label) => known.has(label));
  const wanted = query.get('state') ?? 'open';
  const since = query.get('since');
  const from = since === null ? Number.NEGATIVE_INFINITY : Date.parse(since);
  if (Number.isNaN(from)) return failed(call, 422, `parsing time "${since ?? ''}": cannot parse`);
  const found = numberedOf(call)
    .filter((each) => isChange(each) || tracker.hasIssues)
    .filter((each) => query.get('type') !== 'issues' || !isChange(each))
    .filter(({ state }) => wanted === 'all' || state === wanted)
    .filter(({ updatedAt }) => Date.parse(updatedAt) >= from)
    .filter((each) => labels.every((label) => 'labels' in each && each.labels.some(({ name }) => name === label)))
    .toSorted((a, b) => b.number - a.number);
  return page(call, found, { link: true, show: (each) => show(call, each) });
}

/** Issues and changes. */
function numberedOf({ tracker, state }: Call): readonly (Issue | Pull)[] {
  return [...tracker.issues, ...(tracker === state.home ? state.pulls : [])];
}

function numbered(call: Call): Issue | Pull | null {
  return numberedOf(call).find(({ number }) => number === numberOf(call)) ?? null;
}

const numberOf = ({ parts }: Call): number => Number(parts[0]);
const isChange = (each: Issue | Pull): boolean => !('isChange' in each) || each.isChange;

function show(call: Call, each: Issue | Pull) {
  return 'isChange' in each ? issueJson(call, each) : pullAsIssueJson(call, each);
}

function teams({ tracker }: Call): ForgeAnswer {
  const units = (right: string) => ({ 'repo.code': right, 'repo.issues': right, 'repo.pulls': right });
  const all = [{ id: 1, name: 'Owners', permission: 'owner', units_map: units('owner') }];
  const readers = { id: 2, name: 'readers', permission: 'read', units_map: units('read') };
  return ok(tracker.readingTeam.length === 0 ? all : [...all, readers]);
}

function addComment(call: Call): ForgeAnswer {
  const comment = call.tracker.comment(call.asker.login, numberOf(call), textOf(call, 'body'));
  return { status: 201, body: commentJson(call, comment) };
}

function editComment(call: Call): ForgeAnswer {
  return ok(commentJson(call, call.tracker.editComment(call.asker.login, numberOf(call), textOf(call, 'body'))));
}
