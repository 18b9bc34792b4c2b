import { type Answer, oneOf, Refusal } from './answers.ts';
import { jwtRoutes, login, loginMount } from './jwt-routes.ts';
import { kvRoutes } from './kv-routes.ts';
import { type Call, type RawRequest, readCall } from './request.ts';
import { roleRoutes } from './roles.ts';
import type { Route } from './routes.ts';
import type { State } from './state.ts';
import { openAnswer, sysRoutes } from './sys-routes.ts';
import { authenticate, tokenRoutes } from './token-routes.ts';
import { mayComeFrom } from './tokens.ts';
import { record } from './values.ts';
import { lookupWrapper, unwrap, wrap } from './wrapping.ts';

/** One request from first check to answer, in the order of the server. */
export function handle(state: State, raw: RawRequest): Answer {
  try {
    const call = readCall(raw);
    const open = openAnswer(state, call);
    if (open !== null) return open;
    if (state.sealed) throw new Refusal(503, 'Vault is sealed');
    if (state.standby === 'alone') {
      throw new Refusal(500, 'local node not active but active cluster node not found');
    }
    return withoutToken(state, call) ?? withToken(state, call);
  } catch (error) {
    if (error instanceof Refusal) return error.answer;
    throw error;
  }
}

/** What the wrapper, a JWT or nothing at all opens; null: a token is needed. */
function withoutToken(state: State, call: Call): Answer | null {
  if (call.path === 'sys/wrapping/lookup') return lookupWrapper(state, call);
  if (call.path === 'sys/wrapping/unwrap') return unwrap(state, call);
  const mount = loginMount(state, call);
  return mount === null ? null : wrapped(state, call, login(state, call, mount));
}

function withToken(state: State, call: Call): Answer {
  const caller = authenticate(state, call, (token) => mayComeFrom(token, call.remote));
  const { route, match } = routeOf(state, call.path);
  const isNew = route?.exists !== undefined && !route.exists(match, state);
  const needed = call.operation === 'update' && isNew ? 'create' : call.operation;
  state.policies.acl(caller.policies).demand(call, needed);
  if (route === undefined) throw unrouted(call.path);
  const handler = route[call.operation];
  if (handler === undefined) throw new Refusal(405, oneOf('unsupported operation'));
  return wrapped(state, call, handler(call, match, state, caller));
}

const ROUTES: readonly Route[] = [...sysRoutes, ...roleRoutes, ...tokenRoutes];

function routeOf(state: State, path: string): { route: Route | undefined; match: readonly string[] } {
  const [first = '', second = ''] = path.split('/');
  const routes = [
    ...ROUTES,
    ...(first === 'auth' && state.jwt.roles(second) !== undefined ? jwtRoutes : []),
    ...(state.mounts.has(first) ? kvRoutes : []),
  ];
  for (const route of routes) {
    const match = route.path.exec(path);
    if (match !== null) return { route, match: match.slice(1) };
  }
  return { route: undefined, match: [] };
}

function unrouted(path: string): Refusal {
  if (/^(sys|auth\/token)\//.test(path)) return new Refusal(404, oneOf('unsupported path'));
  return new Refusal(404, `no handler for route ${JSON.stringify(path)}. route entry not found.`);
}

function wrapped(state: State, call: Call, answer: Answer): Answer {
  const { data, auth } = record(answer.body);
  const hasContent = (data ?? null) !== null || (auth ?? null) !== null;
  if (call.wrapTtl === undefined || call.wrapTtl === 0 || answer.status !== 200 || !hasContent) return answer;
  return wrap(state, call, answer, call.wrapTtl);
}
