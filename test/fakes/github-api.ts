import type { Dialect, ForgeAnswer, ForgeRequest } from '../../src/cli/demo-forge/forge-server.ts';
import { commitsBetween, isAncestor } from '../../src/cli/demo-forge/git-history.ts';
import type { DemoForge } from '../../src/cli/demo-forge/model.ts';
import { commitsOf, filesOf, isHidden } from '../../src/cli/demo-forge/reading.ts';
import type { Pull } from '../../src/cli/demo-forge/records.ts';
import {
  type Call,
  counted,
  cursorPage,
  failed,
  type Knobs,
  limitMet,
  NOT_FOUND,
  ok,
  page,
  type Route,
  refused,
  textOf,
} from './github-api-answers.ts';
import { ISSUE_ROUTES } from './github-api-issues.ts';
import { commitJson, fileJson, listedPullJson, pullJson, reviewJson, statusJson, userJson } from './github-api-json.ts';
import { type Activity, activitiesOf, pullsOfCommit } from './github-api-log.ts';

/**
 * GitHub's REST dialect of the fake forge, by its documentation, as GitHub Enterprise Server speaks it (`/api/v3`).
 * A token with the scope `installation` is that of an app.
 */
export function githubDialect(forge: DemoForge, knobs: Knobs): Dialect {
  return { answer: (request, origin) => answer(forge, knobs, request, origin), refuse: refused };
}

export function makeKnobs(): Knobs {
  return {
    limit: null,
    expires: null,
    areForksOpen: false,
    moreFiles: 0,
    hasActivity: true,
    hasQueue: false,
    moreMoves: [],
    moreEvents: [],
    dismissers: new Map(),
    hidesDismissals: false,
    hasForeignPull: false,
    beforePage: null,
  };
}

/** After `/repos/{owner}/{repo}`. */
const ROUTES: readonly Route[] = [
  ['GET', /^\/commits\/([^/]+)\/pulls$/, associatedPulls],
  ['GET', /^\/git\/commits\/([^/]+)$/, gitCommit],
  ['GET', /^\/commits\/([^/]+)\/statuses$/, statuses],
  ['POST', /^\/statuses\/([^/]+)$/, addStatus],
  ['GET', /^\/compare\/([0-9a-f]+)\.\.\.([0-9a-f]+)$/, compare],
  ['GET', /^\/pulls$/, pulls],
  ['GET', /^\/pulls\/(\d+)$/, (call) => ok(pullJson(call, pullOf(call)))],
  ['GET', /^\/pulls\/(\d+)\/files$/, files],
  ['GET', /^\/pulls\/(\d+)\/commits$/, pullCommits],
  ['GET', /^\/pulls\/(\d+)\/reviews$/, reviews],
  ['GET', /^\/activity$/, activity],
];

const MOST_FILES = 3_000;
const MOST_COMMITS = 250;
const STATES = ['error', 'failure', 'pending', 'success'];

function answer(forge: DemoForge, knobs: Knobs, request: ForgeRequest, origin: string): ForgeAnswer {
  const limited = limitMet(knobs);
  if (limited !== null) return limited;
  if (request.token === null) return failed(401, 'Bad credentials');
  const call = {
    state: forge.state,
    origin,
    asker: request.token.user,
    forge,
    knobs,
    request,
    parts: [],
    tracker: forge.state.home,
  };
  return counted(answerOne(call, request.token.scopes.includes('installation')), request, knobs);
}

function answerOne(call: Call, isApp: boolean): ForgeAnswer {
  const path = call.request.path.replace(/^\/api\/v3/, '');
  if (path !== '/user') return inSomeRepo(call, path);
  return isApp ? failed(403, 'Resource not accessible by integration') : ok(userJson(call, call.asker));
}

function inSomeRepo(call: Call, path: string): ForgeAnswer {
  const { state, asker, knobs } = call;
  const [, owner = '', name = '', rest = ''] = /^\/repos\/([^/]+)\/([^/]+)(.*)$/.exec(path) ?? [];
  const full = `${owner}/${name}`.toLowerCase();
  const tracker = [state.home, ...state.issueRepos].find((each) => each.name.toLowerCase() === full);
  if (!(tracker ?? state.home).may(asker, 'read')) return NOT_FOUND;
  if (tracker === undefined) return rest === '/activity' && knobs.areForksOpen ? forkActivity(call, owner) : NOT_FOUND;
  const routes = tracker === state.home ? [...ROUTES, ...ISSUE_ROUTES] : ISSUE_ROUTES;
  return inRepo({ ...call, tracker }, routes, rest);
}

function inRepo(call: Call, routes: readonly Route[], rest: string): ForgeAnswer {
  for (const [method, pattern, of] of routes) {
    const match = method === call.request.method ? pattern.exec(rest) : null;
    if (match !== null) return of({ ...call, parts: match.slice(1) });
  }
  return NOT_FOUND;
}

function pullOf({ state, parts }: Call): Pull {
  return state.pull(Number(parts[0]));
}

function associatedPulls(call: Call): ForgeAnswer {
  const sha = call.parts[0] ?? '';
  if (call.state.store.commit(sha) === null) return failed(422, `No commit found for SHA: ${sha}`);
  const own = pullsOfCommit(call.state, sha).map((pull) => listedPullJson(call, pull));
  const foreign = call.knobs.hasForeignPull ? call.state.pulls.slice(0, 1) : [];
  const others = foreign.map((pull) => ({ ...listedPullJson(call, pull), id: -1, merged_at: pull.createdAt }));
  return page(
    call,
    () => [...others, ...own],
    (pull) => pull,
  );
}

function gitCommit(call: Call): ForgeAnswer {
  const sha = call.parts[0] ?? '';
  return call.state.store.commit(sha) === null ? failed(404, 'Not Found') : ok({ sha });
}

function pulls(call: Call): ForgeAnswer {
  const { query } = call.request;
  const [wanted, base] = [query.get('state') ?? 'open', query.get('base')];
  const found = call.state.pulls
    .filter((pull) => (wanted === 'all' || pull.state === wanted) && (base === null || pull.base === base))
    .toReversed();
  if (query.get('sort') === 'updated') found.sort((a, b) => b.updatedAt.localeCompare(a.updatedAt));
  return page(
    call,
    () => found,
    (pull) => listedPullJson(call, pull),
  );
}

function files(call: Call): ForgeAnswer {
  const own = filesOf(call.state, pullOf(call));
  const more = Array.from({ length: call.knobs.moreFiles }, (_, index) => {
    return { path: `more/${index}`, kind: 'added', additions: 1, deletions: 0, before: null, after: null } as const;
  });
  return page(call, () => [...own, ...more].slice(0, MOST_FILES), fileJson);
}

function pullCommits(call: Call): ForgeAnswer {
  const own = commitsOf(call.state, pullOf(call)).toReversed().slice(0, MOST_COMMITS);
  return page(
    call,
    () => own,
    (commit) => commitJson(call, commit),
  );
}

/** In chronological order. Requests are no reviews, and drafts are shown to their authors only. */
function reviews(call: Call): ForgeAnswer {
  const { number } = pullOf(call);
  const isSeen = (row: (typeof call.state.reviews)[number]): boolean =>
    row.pull === number && row.state !== 'requested' && (!isHidden(row, call.asker) || row.by === call.asker);
  return page(
    call,
    () => call.state.reviews.filter(isSeen),
    (row) => reviewJson(call, row),
  );
}

function compare(call: Call): ForgeAnswer {
  const { store } = call.state;
  const [base = '', head = ''] = call.parts;
  if (store.commit(base) === null || store.commit(head) === null) return NOT_FOUND;
  const isAhead = isAncestor(store, base, head);
  const isBehind = isAncestor(store, head, base);
  const status = isAhead ? (isBehind ? 'identical' : 'ahead') : isBehind ? 'behind' : 'diverged';
  const own = commitsBetween(store, base, head).toReversed();
  const cut = page(
    call,
    () => own,
    (commit) => commitJson(call, commit),
  );
  return { ...cut, body: { status, total_commits: own.length, commits: cut.body } };
}

/** Newest first. */
function statuses(call: Call): ForgeAnswer {
  return page(
    call,
    () => call.state.statuses.filter(({ commit }) => commit === call.parts[0]).toReversed(),
    (status) => statusJson(call, status),
  );
}

function addStatus(call: Call): ForgeAnswer {
  const [state, description] = [textOf(call, 'state'), textOf(call, 'description')];
  if (!STATES.includes(state) || description.length > 140) return failed(422, 'Validation Failed');
  const more = { context: textOf(call, 'context'), description, url: textOf(call, 'target_url') };
  const made = call.forge.setStatus(call.asker.login, call.parts[0] ?? '', { state, ...more });
  return { status: 201, body: statusJson(call, made) };
}

function activity(call: Call): ForgeAnswer {
  if (!call.knobs.hasActivity) return NOT_FOUND;
  const { hasQueue, moreMoves } = call.knobs;
  const all = [...activitiesOf(call.state, call.request.query.get('ref')), ...moreMoves].toSorted(
    (a, b) => b.id - a.id,
  );
  const isMerge = ({ activity_type: kind }: Activity): boolean => hasQueue && kind === 'pr_merge';
  return activityPage(
    call,
    all.map((entry) => (isMerge(entry) ? { ...entry, activity_type: 'merge_queue_merge' } : entry)),
  );
}

/** The model keeps no log of a fork: nobody but its owner may push there. */
function forkActivity(call: Call, owner: string): ForgeAnswer {
  const by = call.state.findUser(owner);
  if (by === null) return NOT_FOUND;
  const tips = [...call.state.forks].filter(([branch]) => branch.startsWith(`${owner}:`));
  const made = tips.map(([branch, after], index): Activity => {
    const ref = `refs/heads/${branch.slice(owner.length + 1)}`;
    const known = { before: '0'.repeat(40), after, ref, timestamp: by.createdAt, by };
    return { id: index + 1, ...known, activity_type: 'branch_creation' };
  });
  return activityPage(call, made.toReversed());
}

function activityPage(call: Call, all: readonly Activity[]): ForgeAnswer {
  const { query } = call.request;
  const [ref, kind] = [query.get('ref'), query.get('activity_type')];
  const isAsked = (entry: Activity): boolean =>
    (ref === null || entry.ref === ref) && (kind === null || entry.activity_type === kind);
  const show = ({ by, ...entry }: Activity) => ({ ...entry, node_id: `A_${entry.id}`, actor: userJson(call, by) });
  return cursorPage(call, all.filter(isAsked), [({ id }) => id, show]);
}
