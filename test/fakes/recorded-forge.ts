import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type Oid, oid } from '../../src/domain/ids.ts';
import type { CommitInfo, OpsRepo, TreeEntry } from '../../src/ports/ops-repo.ts';

/** A recorded history of a change (test/fixtures/review-histories/recorded-forgejo.json), as far as it is replayed. */
export interface RecordedHistory {
  readonly name: string;
  readonly about: string;
  readonly action: {
    readonly path: string;
    readonly tip: string;
    readonly tip_blob: string;
    readonly last_commit_touching: string;
    readonly last_first_parent_commit_touching: string;
  };
  readonly steps: readonly string[];
  readonly commit_to_pull: readonly { readonly sha: string; readonly status: number; readonly body: unknown }[];
  readonly pull?: RecordedPull | null;
  readonly reviews?: { readonly body: readonly object[]; readonly x_total_count: string | null };
  readonly blobs: Readonly<Record<string, string | null>>;
  readonly permissions: Readonly<
    Record<string, { readonly status: number; readonly permission?: string; readonly id?: number }>
  >;
  readonly timeline?: readonly object[];
  readonly activity: readonly RecordedActivity[];
  readonly commits_of_the_change?: readonly RecordedCommit[];
  readonly expected: { readonly verdict: string; readonly code: string; readonly counts: readonly string[] };
}

interface RecordedPull {
  readonly number: number;
  readonly merge_commit_sha: string | null;
  readonly merge_base: string;
}

interface RecordedActivity {
  readonly commits?: readonly string[];
  readonly head_commit?: string;
  readonly len?: number;
  readonly content?: string;
}

interface RecordedCommit {
  readonly sha: string;
  readonly author: string;
  readonly committer: string;
  readonly co_authored_by: string;
}

/** The forge of one history over real HTTP, answering what was recorded. */
export async function serveHistory(history: RecordedHistory) {
  const server = createServer((request, response) => answer(history, request, response));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const close = () =>
    new Promise<void>((resolve) => {
      server.close(() => resolve());
      server.closeAllConnections();
    });
  return { url: `http://127.0.0.1:${port}`, close };
}

function answer(history: RecordedHistory, request: IncomingMessage, response: ServerResponse): void {
  const { pathname, searchParams } = new URL(request.url ?? '', 'http://forge.example');
  const found = find(history, pathname.replace('/api/v1/', ''));
  const isList = Array.isArray(found);
  const page = Number(searchParams.get('page') ?? 0);
  const limit = Math.min(Number(searchParams.get('limit') ?? 30), 50);
  const shown = isList && page > 0 ? found.slice((page - 1) * limit, page * limit) : found;
  response.writeHead(found === undefined ? 404 : 200, {
    'Content-Type': 'application/json',
    ...(isList ? { 'X-Total-Count': String(found.length) } : {}),
  });
  response.end(JSON.stringify(shown ?? { message: 'not found' }));
}

type Route = (history: RecordedHistory, id: string) => unknown;

/** By what follows `/repos/ops/hist`; `*` is handed on. */
const ROUTES: readonly (readonly [RegExp, Route])[] = [
  [/^$/, () => ({ id: 9, full_name: 'ops/hist', archived: false })],
  [/^git\/commits\/(.+)$/, (_, sha) => ({ sha })],
  [/^commits\/(.+)\/pull$/, pullOf],
  [/^pulls\/(\d+)$/, ({ pull }) => pull ?? undefined],
  [/^pulls\/(\d+)\/reviews$/, ({ reviews }) => reviews?.body],
  [/^pulls\/(\d+)\/files$/, (history) => filesOf(history).map((filename) => ({ filename, status: 'added' }))],
  [/^pulls\/(\d+)\/commits$/, (history) => (history.commits_of_the_change ?? []).map(asCommit)],
  // The recording leaves the ids out.
  [/^issues\/(\d+)\/timeline$/, ({ timeline = [] }) => timeline.map((event, at) => ({ id: at + 1, ...event }))],
  // Newest first.
  [/^activities\/feeds$/, ({ activity }) => activity.map((entry, at) => ({ id: 1000 - at, ...asActivity(entry) }))],
  [/^collaborators\/(.+)\/permission$/, permissionOf],
];

/** undefined: 404. */
function find(history: RecordedHistory, path: string): unknown {
  if (path === 'version') return { version: '10.0.0-dev' };
  if (path === 'settings/api') return { max_response_items: 50, default_paging_num: 30 };
  const rest = path.replace(/^repos\/ops\/hist\/?/, '');
  for (const [pattern, answerOf] of ROUTES) {
    const match = pattern.exec(rest);
    if (match !== null) return answerOf(history, match[1] ?? '');
  }
  return undefined;
}

function pullOf(history: RecordedHistory, commit: string): unknown {
  const said = history.commit_to_pull.find(({ sha }) => sha === commit);
  if (said?.status !== 200) return undefined;
  return said.body === 'equal to pull' ? history.pull : said.body;
}

/** Two histories are of a change that never held the action: their steps say what it held. */
function filesOf({ steps, action }: RecordedHistory): readonly string[] {
  const listed = steps.flatMap((step) => [...step.matchAll(/'(notes\/[^']+)'/g)].map(([, file = '']) => file));
  return listed.length > 0 ? listed : [action.path];
}

function permissionOf({ permissions }: RecordedHistory, login: string): unknown {
  const said = permissions[login];
  if (said?.status !== 200) return undefined;
  return { permission: said.permission, role_name: said.permission, user: { id: said.id, login } };
}

function asActivity(activity: RecordedActivity): object {
  const { commits, head_commit, len, ...entry } = activity;
  if (commits === undefined) return entry;
  const content = { Commits: commits.map((Sha1) => ({ Sha1 })), HeadCommit: { Sha1: head_commit }, Len: len };
  return { ...entry, content: JSON.stringify(content) };
}

function asCommit({ sha, author, committer, co_authored_by: also }: RecordedCommit): unknown {
  const trailer = also === '' ? '' : `\n\nCo-authored-by: ${also}\n`;
  const signature = (text: string) => ({ ...personOf(text), date: '2026-11-21T04:00:00Z' });
  const commit = { author: signature(author), committer: signature(committer), message: `a change${trailer}` };
  return { sha, commit, author: null, committer: null };
}

function personOf(text: string): { name: string; email: string } {
  const [, name = '', email = ''] = /^(.*) <(.*)>$/.exec(text) ?? [];
  return { name, email };
}

const NOBODY = { name: 'forge', email: 'noreply@forge.example' };

/** What git said of one history, and nothing else. */
export function recordedRepo(history: RecordedHistory): OpsRepo {
  const { action, blobs } = history;
  const setter = action.last_first_parent_commit_touching;
  const merge = history.pull?.merge_commit_sha;
  const after = merge != null && merge !== setter && isAfter(history, merge) ? [merge] : [];
  const line = [setter, ...after, ...(action.tip === setter || after.includes(action.tip) ? [] : [action.tip])];
  const known: Partial<OpsRepo> = {
    commit: (commit) => Promise.resolve(commitOf(history, commit, line)),
    entryAt: (commit, path) => {
      const blob = line.includes(commit) && blobs[commit] === undefined ? action.tip_blob : blobs[commit];
      return Promise.resolve(path !== action.path || blob == null ? null : entry(path, blob));
    },
    lastChanged: () => {
      return Promise.resolve(new Map([[action.path, { commit: oid(setter), committedAt: '2026-11-21T04:00:00Z' }]]));
    },
    obtain: (commits) => Promise.resolve(new Set(commits.filter((commit) => blobs[commit] !== undefined))),
    mergeBases: () => Promise.resolve(history.pull == null ? [] : [oid(history.pull.merge_base)]),
    introducers: () => {
      const made = action.last_commit_touching;
      return Promise.resolve(made === setter ? [] : [oid(made)]);
    },
  };
  return new Proxy({} as OpsRepo, {
    get: (_, name) => {
      const call = known[name as keyof OpsRepo];
      if (call === undefined) throw new Error(`not recorded: ${String(name)}`);
      return call;
    },
  });
}

/** The forge maps a commit that stands on the branch after the one that set the bytes. */
function isAfter({ commit_to_pull, action }: RecordedHistory, merge: string): boolean {
  const mapped = commit_to_pull.some(({ sha, status }) => sha === merge && status === 200);
  return mapped && action.tip === merge;
}

function entry(path: string, blob: string): TreeEntry {
  return { path, kind: 'file', oid: oid(blob) };
}

function commitOf(
  { commits_of_the_change: own = [], action }: RecordedHistory,
  commit: Oid,
  line: readonly string[],
): CommitInfo {
  const made = own.find(({ sha }) => sha === commit);
  const at = line.indexOf(commit);
  const first = at > 0 ? [oid(line[at - 1] ?? '')] : [];
  const isMerge = commit === action.last_first_parent_commit_touching && commit !== action.last_commit_touching;
  return {
    oid: commit,
    parents: isMerge ? [...first, oid('0'.repeat(40)), oid('1'.repeat(40))].slice(0, 2) : first,
    author: made === undefined ? NOBODY : personOf(made.author),
    committer: made === undefined ? NOBODY : personOf(made.committer),
    coAuthors: made === undefined || made.co_authored_by === '' ? [] : [personOf(made.co_authored_by)],
    committedAt: '2026-11-21T04:00:00Z',
    subject: 'a change',
  };
}
