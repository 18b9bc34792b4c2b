import { type Answer, badToken, done, type Envelope, found, oneOf, Refusal } from './answers.ts';
import { WRAPPING_POLICY } from './policies.ts';
import type { Call } from './request.ts';
import type { State } from './state.ts';
import { text, timestamp } from './values.ts';
import type { Wrapper } from './wrappers.ts';

const INVALID = 'wrapping token is not valid or does not exist';

/** Puts the answer away and answers with the wrapper; warnings go with it. */
export function wrap(state: State, call: Call, answer: Answer, ttl: number): Answer {
  const inner = answer.body as Envelope;
  const creationPath = call.path;
  const token = state.tokens.issue({
    label: 'wrapping',
    policies: [WRAPPING_POLICY],
    path: creationPath,
    meta: null,
    displayName: '',
    ttl,
    explicitMaxTtl: ttl,
    period: 0,
    renewable: false,
    orphan: true,
    parent: null,
    role: null,
    type: 'service',
    boundCidrs: [],
    numUses: 1,
  });
  const { id, accessor, createdAt } = token;
  state.wrappers.add({ id, accessor, creationPath, createdAt, ttl, answer, state: 'unread' });
  const wrapInfo = {
    token: id,
    accessor,
    ttl,
    creation_time: timestamp(createdAt),
    creation_path: creationPath,
    ...(inner.auth === null ? {} : { wrapped_accessor: inner.auth.accessor }),
  };
  return found({ wrapInfo });
}

/** sys/wrapping/lookup: needs no token and takes no use. */
export function lookupWrapper(state: State, call: Call): Answer {
  const wrapper = unreadWrapper(state, namedToken(call));
  const { creationPath, createdAt, ttl } = wrapper;
  return found({
    data: { creation_path: creationPath, creation_time: timestamp(createdAt), creation_ttl: ttl },
  });
}

/** sys/wrapping/unwrap: of any number of calls one gets the answer. */
export function unwrap(state: State, call: Call): Answer {
  const id = namedToken(call);
  const wrapper = unreadWrapper(state, id);
  if (call.token !== id) {
    const caller = state.tokens.find(call.token);
    if (caller === undefined) throw badToken();
    state.policies.acl(caller.policies).demand(call, 'update');
  }
  wrapper.state = 'consumed';
  const token = state.tokens.find(id);
  if (token !== undefined) state.tokens.revoke(token);
  return wrapper.answer;
}

/** revoke-accessor where the accessor is a wrapper's; null: it is not, or is long gone. */
export function revokeWrapper(state: State, accessor: string): Answer | null {
  const wrapper = state.wrappers.byAccessor(accessor);
  if (wrapper === undefined) return null;
  if (wrapper.state === 'consumed' && !state.wrapping.consumedIsForgotten) throw new Refusal(400, 'token not found');
  const token = state.tokens.find(wrapper.id);
  if (wrapper.state !== 'unread' || token === undefined) return null;
  wrapper.state = 'revoked';
  if (!state.wrapping.revokedStillUnwraps) state.tokens.revoke(token);
  return done;
}

function namedToken(call: Call): string {
  const id = text(call.body['token']) || call.token;
  if (id === '') throw new Refusal(403, 'error validating wrapping token: token is empty');
  return id;
}

function unreadWrapper(state: State, id: string): Wrapper {
  const wrapper = state.wrappers.get(id);
  if (wrapper !== undefined && wrapper.state !== 'consumed' && state.tokens.find(id) !== undefined) return wrapper;
  const { wrapping } = state;
  if (wrapper?.state === 'consumed' && wrapping.losersGet500 > 0) {
    wrapping.losersGet500 -= 1;
    throw new Refusal(500, oneOf('internal error'));
  }
  throw new Refusal(400, INVALID);
}
