import { createHash } from 'node:crypto';
import type { ForgeAnswer, ForgeRequest } from '../../src/cli/demo-forge/forge-server.ts';
import type { IssueRepo } from '../../src/cli/demo-forge/issue-repo.ts';
import type { DemoForge } from '../../src/cli/demo-forge/model.ts';
import type { ForgeRefusal, RefusalCode } from '../../src/cli/demo-forge/records.ts';
import type { Voice } from './github-api-json.ts';
import type { Activity } from './github-api-log.ts';

/** Pages, ETags, limits and refusals in GitHub's way. */

/** May be changed at any time. */
export interface Knobs {
  /** Requests until the primary limit is met, and when it is lifted, in seconds since 1970; null: no limit. */
  limit: { left: number; reset: number } | null;
  /** Time at which the token expires, as the header has it. */
  expires: string | null;
  /** Logs of forks can be read. */
  areForksOpen: boolean;
  /** So many more files are listed for each change. */
  moreFiles: number;
  /** This server has no log of activities. */
  hasActivity: boolean;
  /** Merges are made by a merge queue. */
  hasQueue: boolean;
  /** What the model does not log. */
  moreMoves: Activity[];
  /** Events at the end of each timeline. */
  moreEvents: string[];
  /** Logins of who dismissed a review, by its id; everybody who may write may. Of others the owner. */
  dismissers: Map<number, string>;
  /** The timeline does not tell of dismissals yet. */
  hidesDismissals: boolean;
  /** A merged pull request of a fork, under the number of ours, is associated with every commit. */
  hasForeignPull: boolean;
  /** Before this many-th list page is answered: what somebody does meanwhile. */
  beforePage: ((path: string, page: number) => void) | null;
}

export interface Call extends Voice {
  readonly forge: DemoForge;
  readonly knobs: Knobs;
  readonly request: ForgeRequest;
  readonly parts: readonly string[];
  readonly tracker: IssueRepo;
}

/** After `/repos/{owner}/{repo}`. */
export type Route = readonly [method: string, path: RegExp, answer: (call: Call) => ForgeAnswer];

/** Of the body of the request; empty where it holds none of this name. */
export function textOf({ request }: Call, key: string): string {
  const value = request.body?.[key];
  return typeof value === 'string' ? value : '';
}

export function ok(body: unknown, headers: Readonly<Record<string, string>> = {}): ForgeAnswer {
  return { status: 200, headers, body };
}

export function failed(status: number, message: string): ForgeAnswer {
  return { status, body: { message, documentation_url: 'https://docs.github.com/rest', status: `${status}` } };
}

export const NOT_FOUND = failed(404, 'Not Found');

const REFUSALS: Readonly<Partial<Record<RefusalCode, readonly [status: number, message: string]>>> = {
  'no-access': [404, 'Not Found'],
  'nothing-there': [404, 'Not Found'],
  'no-push': [403, 'Resource not accessible by personal access token'],
  'unknown-commit': [422, 'No commit found for SHA'],
  'no-repo-admin': [403, 'Must have admin rights to Repository.'],
};

export function refused({ code }: ForgeRefusal): ForgeAnswer {
  const [status, message] = REFUSALS[code] ?? [422, 'Validation Failed'];
  return failed(status, message);
}

/** Pages of 30, at most 100; the way to the next one stands in the header Link, and nowhere how many there are. */
export function page<T>(
  { request, origin, knobs }: Call,
  list: () => readonly T[],
  show: (item: T) => unknown,
): ForgeAnswer {
  const size = sizeOf(request);
  const number = Math.max(1, Number(request.query.get('page') ?? 1));
  knobs.beforePage?.(request.path, number);
  const items = list();
  const shown = items.slice((number - 1) * size, number * size);
  const next = number * size < items.length ? linkTo(request, origin, { page: `${number + 1}` }) : {};
  return ok(shown.map(show), next);
}

/** By a mark instead of a number. `idOf` grows from the last item to the first. */
export function cursorPage<T>(
  { request, origin }: Call,
  items: readonly T[],
  [idOf, show]: readonly [idOf: (item: T) => number, show: (item: T) => unknown],
): ForgeAnswer {
  const after = request.query.get('after');
  const left = after === null ? items : items.filter((item) => idOf(item) < Number(after));
  const shown = left.slice(0, sizeOf(request));
  const last = shown.at(-1);
  const hasMore = last !== undefined && shown.length < left.length;
  return ok(shown.map(show), hasMore ? linkTo(request, origin, { after: `${idOf(last)}` }) : {});
}

function sizeOf({ query }: ForgeRequest): number {
  return Math.min(100, Math.max(1, Number(query.get('per_page') ?? 30)));
}

/** By the id of the repository, as the real one does. */
function linkTo(request: ForgeRequest, origin: string, more: Readonly<Record<string, string>>): Record<string, string> {
  const query = new URLSearchParams(request.query);
  for (const [key, value] of Object.entries(more)) query.set(key, value);
  const path = request.path.replace(/\/repos\/[^/]+\/[^/]+/, '/repositories/1010');
  const address = `${origin}${path}?${query.toString()}`;
  return { link: `<${address}>; rel="next", <${address}>; rel="last"` };
}

/** With its ETag; unchanged: 304, which counts for no limit. */
export function counted(answer: ForgeAnswer, { headers, method }: ForgeRequest, knobs: Knobs): ForgeAnswer {
  const etag = `W/"${createHash('sha256').update(JSON.stringify(answer)).digest('hex')}"`;
  const isSame = method === 'GET' && answer.status === 200 && headers['if-none-match'] === etag;
  if (!isSame && knobs.limit !== null) knobs.limit.left -= 1;
  const told = {
    ...(answer.status === 200 ? { etag } : {}),
    ...limitHeaders(knobs),
    ...(knobs.expires === null ? {} : { 'github-authentication-token-expiration': knobs.expires }),
  };
  if (isSame) return { status: 304, headers: told };
  return { ...answer, headers: { ...answer.headers, ...told } };
}

export function limitMet(knobs: Knobs): ForgeAnswer | null {
  if (knobs.limit === null || knobs.limit.left > 0) return null;
  return { ...failed(403, 'API rate limit exceeded for user ID 9.'), headers: limitHeaders(knobs) };
}

function limitHeaders({ limit }: Knobs): Record<string, string> {
  if (limit === null) return {};
  return { 'x-ratelimit-remaining': `${Math.max(0, limit.left)}`, 'x-ratelimit-reset': `${limit.reset}` };
}
