import type { ForgeAnswer, ForgeRequest } from './forge-server.ts';
import type { Voice } from './forgejo-repo-json.ts';
import type { IssueRepo } from './issue-repo.ts';
import type { DemoForge } from './model.ts';
import type { ForgeRefusal, RefusalCode, User } from './records.ts';

/** Pages, errors and refusals as Forgejo words them. */

export interface Call extends Voice {
  readonly forge: DemoForge;
  readonly request: ForgeRequest;
  readonly asker: User;
  readonly tracker: IssueRepo;
  /** What the path pattern caught. */
  readonly parts: readonly string[];
}

export interface Route {
  readonly method: string;
  /** After `/repos/{owner}/{repo}` where `inRepo`, else after `/api/v1`. */
  readonly path: RegExp;
  /** What the token must be good for: to read it, or to write it for other methods than GET. null: nothing. */
  readonly scope: 'repository' | 'issue' | 'user' | null;
  readonly inRepo: boolean;
  answer(call: Call): ForgeAnswer;
}

export function get(path: RegExp, scope: Route['scope'], answer: Route['answer']): Route {
  return { method: 'GET', path, scope, inRepo: true, answer };
}

/** Of the body of the request; empty where it holds none of this name. */
export function textOf({ request }: Call, key: string): string {
  const value = request.body?.[key];
  return typeof value === 'string' ? value : '';
}

export const LIMITS = {
  max_response_items: 50,
  default_paging_num: 30,
  default_git_trees_per_page: 1000,
  default_max_blob_size: 10_485_760,
};
export const NOT_FOUND = "The target couldn't be found.";

interface Paging<T> {
  readonly allWithoutPage?: boolean;
  readonly hasMore?: boolean;
  readonly link?: boolean;
  readonly show?: (item: T) => unknown;
}

/** Pages of 30, at most 50, counted from 1; the total in a header. */
export function page<T>(
  call: Call,
  items: readonly T[],
  { allWithoutPage, hasMore, link, show }: Paging<T> = {},
): ForgeAnswer {
  const { query } = call.request;
  const asked = Number(query.get('page') ?? 0);
  const limit = Number(query.get('limit') ?? 0);
  const size = limit > 0 ? Math.min(limit, LIMITS.max_response_items) : LIMITS.default_paging_num;
  const number = Math.max(1, asked);
  const whole = allWithoutPage === true && asked <= 0;
  const cut = whole ? items : items.slice((number - 1) * size, number * size);
  const more = !whole && number * size < items.length;
  const headers: Record<string, string> = { 'x-total-count': `${items.length}` };
  if (hasMore === true) headers['x-hasmore'] = `${more}`;
  if (link === true && more) headers['link'] = `<${call.origin}${nextUrl(call, number + 1)}>; rel="next"`;
  return ok(show === undefined ? cut : cut.map((item) => show(item)), headers);
}

function nextUrl({ request }: Call, number: number): string {
  const query = new URLSearchParams(request.query);
  query.set('page', `${number}`);
  return `${request.path}?${query.toString()}`;
}

const REFUSALS: Readonly<Record<RefusalCode, readonly [status: number, message: string]>> = {
  'no-access': [404, NOT_FOUND],
  'unknown-commit': [500, ''],
  'own-approval': [422, 'approve your own pull is not allowed'],
  'own-rejection': [422, 'reject your own pull is not allowed'],
  'no-repo-admin': [403, 'Must be repo admin'],
  'no-push': [403, 'User permission denied for writing.'],
  'protected-branch': [403, 'Not allowed to push to protected branch'],
  'protected-from-force': [403, 'branch is protected from force push'],
  'not-fast-forward': [409, 'non-fast-forward'],
  'no-merge-right': [405, 'User not allowed to merge PR'],
  'merged-already': [405, ''],
  'not-enough-approvals': [405, 'Does not have enough approvals'],
  conflict: [405, 'Please try again later'],
  'cannot-fast-forward': [500, ''],
  'head-out-of-date': [409, 'head out of date'],
  'closed-pull': [403, "can't dismiss a review associated to a closed or merged PR"],
  'nothing-there': [404, NOT_FOUND],
};

export function refused({ code }: ForgeRefusal, origin: string): ForgeAnswer {
  const [status, message] = REFUSALS[code];
  return failed({ origin }, status, message);
}

export function failed({ origin }: Pick<Voice, 'origin'>, status: number, message: string): ForgeAnswer {
  const more = message === NOT_FOUND ? { errors: [] } : {};
  return { status, body: { message, url: `${origin}/api/swagger`, ...more } };
}

export function ok(body: unknown, headers: Readonly<Record<string, string>> = {}): ForgeAnswer {
  return { status: 200, headers, body };
}
