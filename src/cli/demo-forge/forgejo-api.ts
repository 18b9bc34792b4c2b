import type { Dialect, ForgeAnswer, ForgeRequest } from './forge-server.ts';
import { type Call, failed, get, LIMITS, NOT_FOUND, ok, page, type Route, refused, textOf } from './forgejo-answers.ts';
import { feedJson, permissionJson, statusJson } from './forgejo-event-json.ts';
import { ISSUE_ROUTES } from './forgejo-issue-api.ts';
import { commitsJson, fileJson, pullJson, reviewJson } from './forgejo-pull-json.ts';
import { issueRepoJson, repoJson, userJson } from './forgejo-repo-json.ts';
import type { DemoForge } from './model.ts';
import { isHidden, pullMergedAs, visibleFeed } from './reading.ts';
import type { Pull, User } from './records.ts';

/** Forgejo's REST dialect of the fake forge, as far as an approval needs it: answers held to those of a live one. */

const ROUTES: readonly Route[] = [
  { method: 'GET', path: /^\/version$/, scope: null, inRepo: false, answer: () => ok({ version: VERSION }) },
  { method: 'GET', path: /^\/settings\/api$/, scope: null, inRepo: false, answer: () => ok(LIMITS) },
  { method: 'GET', path: /^\/user$/, scope: 'user', inRepo: false, answer: (call) => ok(userJson(call, call.asker)) },
  get(/^\/branches\/([^/]+)$/, 'repository', branch),
  get(/^\/commits\/([^/]+)\/pull$/, 'repository', (call) => {
    const pull = pullMergedAs(call.state, call.parts[0] ?? '');
    return pull === null ? failed(call, 404, NO_PULL) : ok(pullJson(call, pull));
  }),
  get(/^\/commits\/([0-9a-f]{40})\/statuses$/, 'repository', statuses),
  get(/^\/commits\/([0-9a-f]{40})\/status$/, 'repository', combinedStatus),
  get(/^\/statuses\/([0-9a-f]{40})$/, 'repository', statuses),
  get(/^\/pulls$/, 'repository', pulls),
  get(/^\/pulls\/(\d+)$/, 'repository', (call) => ok(pullJson(call, pullOf(call)))),
  get(/^\/pulls\/(\d+)\/files$/, 'repository', (call) => page(call, fileJson(call, pullOf(call)), { hasMore: true })),
  get(/^\/pulls\/(\d+)\/commits$/, 'repository', (call) =>
    page(call, commitsJson(call, pullOf(call)), { hasMore: true }),
  ),
  get(/^\/pulls\/(\d+)\/reviews$/, 'repository', reviews),
  get(/^\/git\/commits\/([0-9a-f]{40,64})$/, 'repository', (call) => {
    const [sha = ''] = call.parts;
    return call.state.store.resolve(sha) === sha ? ok({ sha }) : failed(call, 404, NOT_FOUND);
  }),
  get(/^\/activities\/feeds$/, 'repository', (call) =>
    page(
      call,
      visibleFeed(call.state).map((entry) => feedJson(call, entry)),
    ),
  ),
  { method: 'POST', path: /^\/statuses\/([^/]+)$/, scope: 'repository', inRepo: true, answer: addStatus },
];

/** For every repository of the forge; the other ones are for that with the changes. */
const SHARED_ROUTES: readonly Route[] = [
  get(/^$/, 'repository', ({ tracker, ...call }) =>
    ok(
      tracker === call.state.home ? { ...repoJson(call), has_issues: tracker.hasIssues } : issueRepoJson(call, tracker),
    ),
  ),
  get(/^\/collaborators\/([^/]+)\/permission$/, 'repository', permission),
  ...ISSUE_ROUTES,
];

const VERSION = '10.0.0-dev+gitea-1.22.0';
const NO_PULL =
  'pull request does not exist [id: 0, issue_id: 0, head_repo_id: 0, base_repo_id: 1, head_branch: , base_branch: ]';
const ADMINS_ONLY =
  'Only admins can query all permissions, repo admins can query all repo permissions, collaborators can query only their own';

export function forgejoDialect(forge: DemoForge): Dialect {
  return {
    answer: (request, origin) => answer(forge, request, origin),
    refuse: (refusal, origin) => refused(refusal, origin),
  };
}

/** In the order of the real one: token, scope, access to the repository, then the thing itself. */
function answer(forge: DemoForge, request: ForgeRequest, origin: string): ForgeAnswer {
  const { state } = forge;
  const asker = request.token?.user ?? NOBODY;
  const call = { state, origin, asker, forge, request, tracker: state.home, parts: [] };
  if (request.badToken) return failed(call, 401, 'user does not exist [uid: 0, name: ]');
  const found = findRoute(request);
  if (found === null) return failed(call, 404, NOT_FOUND);
  const { route, parts } = found;
  const missing = missingScope(route, request);
  if (missing !== null) {
    return failed(call, 403, `token does not have at least one of required scope(s): [${missing}]`);
  }
  if (route.inRepo) return inRepo(call, found);
  if (route.scope !== null && asker === NOBODY) return failed(call, 401, 'token is required');
  return route.answer({ ...call, parts });
}

function inRepo(call: Call, { route, repo, parts }: Found): ForgeAnswer {
  const { home, issueRepos } = call.state;
  const places = SHARED_ROUTES.includes(route) ? [home, ...issueRepos] : [home];
  const tracker = places.find(({ name }) => name.toLowerCase() === repo);
  if (tracker?.may(call.asker, 'read') !== true) return failed(call, 404, NOT_FOUND);
  return route.answer({ ...call, tracker, parts });
}

interface Found {
  readonly route: Route;
  readonly repo: string;
  readonly parts: readonly string[];
}

function findRoute({ method, path }: ForgeRequest): Found | null {
  const short = path.replace(/^\/api\/v1/, '');
  const [, repo = '', rest = '/none'] = /^\/repos\/([^/]+\/[^/]+)(.*)$/.exec(short) ?? [];
  for (const route of [...ROUTES, ...SHARED_ROUTES].filter((each) => each.method === method)) {
    const match = route.path.exec(route.inRepo ? rest : short);
    if (match !== null) return { route, repo: repo.toLowerCase(), parts: match.slice(1) };
  }
  return null;
}

const NOBODY: User = {
  id: 0,
  login: '',
  email: '',
  isBot: false,
  isSiteAdmin: false,
  createdAt: '0001-01-01T00:00:00Z',
  gone: true,
};

function missingScope({ scope, method }: Route, { token }: ForgeRequest): string | null {
  if (scope === null || token === null || token.scopes.includes('all')) return null;
  const wanted = method === 'GET' ? [`read:${scope}`, `write:${scope}`] : [`write:${scope}`];
  return wanted.some((each) => token.scopes.includes(each)) ? null : (wanted[0] ?? null);
}

function pullOf({ state, parts }: Call): Pull {
  return state.pull(Number(parts[0]));
}

function branch(call: Call): ForgeAnswer {
  const name = call.parts[0] ?? '';
  const id = call.state.tip(name);
  return id === null
    ? failed(call, 404, NOT_FOUND)
    : ok({ name, commit: { id }, protected: call.state.protections.has(name) });
}

function pulls(call: Call): ForgeAnswer {
  const { query } = call.request;
  const wanted = query.get('state') ?? 'open';
  const found = call.state.pulls.filter(({ state }) => wanted === 'all' || state === wanted).toReversed();
  if (query.get('sort') === 'recentupdate') found.sort((a, b) => b.updatedAt.localeCompare(a.updatedAt));
  return page(call, found, { link: true, show: (pull) => pullJson(call, pull) });
}

/** Without `page` everything comes, whatever `limit` says; hidden drafts are counted, and make a page shorter. */
function reviews(call: Call): ForgeAnswer {
  const { number } = pullOf(call);
  const rows = call.state.reviews.filter(({ pull }) => pull === number);
  const cut = page(call, rows, { allWithoutPage: true, show: (row) => row });
  const shown = rows.filter((row) => (cut.body as readonly unknown[]).includes(row) && !isHidden(row, call.asker));
  return { ...cut, body: shown.map((row) => reviewJson(call, row)) };
}

function permission(call: Call): ForgeAnswer {
  if (!call.tracker.may(call.asker, 'admin')) return failed(call, 403, ADMINS_ONLY);
  const user = call.state.findUser(call.parts[0] ?? '');
  if (user === null) return failed(call, 404, `user does not exist [uid: 0, name: ${call.parts[0] ?? ''}]`);
  return ok(permissionJson(call, user, call.tracker.permission(user)));
}

function statuses(call: Call): ForgeAnswer {
  const rows = call.state.statuses.filter(({ commit }) => commit === call.parts[0]).toReversed();
  return page(call, rows, { show: (row) => statusJson(call, row) });
}

/** The newest of each context. */
function combinedStatus(call: Call): ForgeAnswer {
  const sha = call.parts[0] ?? '';
  const rows = call.state.statuses.filter(({ commit }) => commit === sha);
  const newest = [...new Map(rows.map((row) => [row.context, row])).values()];
  const url = `${call.origin}/api/v1/repos/${call.state.repo}/commits/${sha}`;
  return ok({
    state: newest.at(-1)?.state ?? '',
    sha,
    total_count: newest.length,
    statuses: newest.map((row) => statusJson(call, row)),
    repository: repoJson(call),
    commit_url: url,
    url: `${url}/status`,
  });
}

function addStatus(call: Call): ForgeAnswer {
  if (!call.state.may(call.asker, 'write'))
    return failed(call, 403, 'user should have a permission to write to a repo');
  const status = call.forge.setStatus(call.asker.login, call.parts[0] ?? '', {
    state: textOf(call, 'state'),
    context: textOf(call, 'context'),
    description: textOf(call, 'description'),
    url: textOf(call, 'target_url'),
  });
  return { status: 201, body: statusJson(call, status) };
}
