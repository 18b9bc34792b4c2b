import { type Answer, badToken, done, found, noRight, oneOf, Refusal } from './answers.ts';
import type { Call } from './request.ts';
import type { Handler, Route } from './routes.ts';
import type { State } from './state.ts';
import { createToken } from './token-create.ts';
import { authOf, lookupOf, type TokenRecord } from './tokens.ts';
import { seconds, text } from './values.ts';
import { revokeWrapper } from './wrapping.ts';

/** auth/token but its roles. */

const lookupSelf: Handler = (_, __, state, caller) => found({ data: lookupOf(caller, state.now(), caller.id) });

const revokeSelf: Handler = (_, __, state, caller) => {
  state.tokens.revoke(caller);
  return done;
};

const renewSelf: Handler = ({ body }, _, state, caller) => renew(state, caller, seconds(body['increment']));

export const tokenRoutes: readonly Route[] = [
  { path: /^auth\/token\/create$/, update: (call, _, state, caller) => create(state, call, caller, null) },
  { path: /^auth\/token\/create-orphan$/, update: (call, _, state, caller) => create(state, call, caller, null) },
  {
    path: /^auth\/token\/create\/([^/]+)$/,
    update: (call, [role = ''], state, caller) => create(state, call, caller, role),
  },
  { path: /^auth\/token\/lookup-self$/, read: lookupSelf, update: lookupSelf },
  { path: /^auth\/token\/renew-self$/, update: renewSelf },
  { path: /^auth\/token\/revoke-self$/, update: revokeSelf },
  {
    path: /^auth\/token\/lookup$/,
    update: ({ body }, _, state) => {
      const token = state.tokens.find(text(body['token']));
      if (token === undefined) throw new Refusal(403, 'bad token');
      return found({ data: lookupOf(token, state.now(), token.id) });
    },
  },
  {
    path: /^auth\/token\/revoke$/,
    update: ({ body }, _, state) => {
      const token = state.tokens.find(text(body['token']));
      if (token !== undefined) state.tokens.revoke(token);
      return done;
    },
  },
  {
    path: /^auth\/token\/accessors\/?$/,
    list: (_, __, { tokens }) => found({ data: { keys: tokens.live().map(({ accessor }) => accessor) } }),
  },
  {
    path: /^auth\/token\/lookup-accessor$/,
    update: ({ body }, _, state) => {
      const token = state.tokens.byAccessor(accessorOf(body));
      if (token === undefined) throw new Refusal(400, oneOf('invalid accessor'));
      return found({ data: lookupOf(token, state.now(), '') });
    },
  },
  { path: /^auth\/token\/revoke-accessor$/, update: ({ body }, _, state) => revokeAccessor(state, accessorOf(body)) },
];

function create(state: State, call: Call, caller: TokenRecord, roleName: string | null): Answer {
  const role = roleName === null ? null : state.roles.get(roleName);
  if (role === undefined) throw new Refusal(400, `unknown role ${roleName}`);
  const { isRoot } = state.policies.acl(caller.policies);
  const orphan = call.path.endsWith('/create-orphan') || call.body['no_parent'] === true;
  if (orphan && role === null && !isRoot) throw noRight();
  const { token, warnings } = createToken(state, { call, role, caller, isRoot, orphan });
  return found({ auth: authOf(token), warnings });
}

function renew(state: State, token: TokenRecord, increment: number): Answer {
  if (!token.renewable) throw new Refusal(400, 'lease is not renewable');
  const now = state.now();
  const wanted = token.period > 0 ? token.period : increment || token.ttl;
  const end = token.explicitMaxTtl > 0 ? token.createdAt + token.explicitMaxTtl * 1000 : Infinity;
  token.expiresAt = Math.min(now + wanted * 1000, end);
  token.renewedAt = now;
  return found({ auth: authOf(token, Math.floor((token.expiresAt - now) / 1000)) });
}

function accessorOf(body: Call['body']): string {
  const accessor = text(body['accessor']);
  if (accessor === '') throw new Refusal(400, oneOf('missing accessor'));
  return accessor;
}

function revokeAccessor(state: State, accessor: string): Answer {
  const asWrapper = revokeWrapper(state, accessor);
  if (asWrapper !== null) return asWrapper;
  const token = state.tokens.byAccessor(accessor);
  if (token === undefined) return found({ warnings: ['No token found with this accessor'] });
  state.tokens.revoke(token);
  return done;
}

/** The live token of a call, one use taken: a wrapper used like this is consumed. Throws the 403 of an unknown token. */
export function authenticate(state: State, call: Call, isAllowedFrom: (token: TokenRecord) => boolean): TokenRecord {
  const token = state.tokens.find(call.token);
  if (token === undefined || !isAllowedFrom(token)) throw badToken();
  state.tokens.use(token);
  const wrapper = state.wrappers.get(token.id);
  if (wrapper !== undefined) wrapper.state = 'consumed';
  return token;
}
