import { randomBytes } from 'node:crypto';
import type { Answer, Call } from './http.ts';
import { denied, jsonOf, Refusal, textOf } from './http.ts';
import type { Scheduler } from './scheduler.ts';
import type { State } from './state.ts';
import type { Job } from './wire.ts';
import { nanoseconds } from './wire.ts';

/** `POST /v1/job/:id/dispatch` with its checks in the order of the server. */

const PAYLOAD_LIMIT = 16_384;
const DISABLED = 'Job registration, dispatch, and scale are disabled by the scheduler configuration';

export interface DispatchRequest {
  readonly namespace: string;
  readonly parent: string;
  /** Idempotency token; empty: none. */
  readonly token: string;
  /** Base64, as it was sent; empty: none. */
  readonly payload: string;
  readonly meta: Readonly<Record<string, string>>;
  readonly idPrefix: string;
  readonly priority: number;
}

export class Dispatcher {
  /** Only a management token may register and dispatch. */
  registrationsOff = false;
  /** So many of the next answers name a child that was never stored; the real one is stored under the token. */
  ghosts = 0;
  readonly #state: State;
  readonly #scheduler: Scheduler;
  /** Namespace, parent and token to the child that was first dispatched with it. */
  readonly #byToken = new Map<string, string>();

  constructor(state: State, scheduler: Scheduler) {
    this.#state = state;
    this.#scheduler = scheduler;
  }

  handle(call: Call): Answer {
    if (call.method === 'GET' || call.method === 'DELETE') throw new Refusal(405, 'Invalid method');
    const request = requestOf(call);
    if (!call.rights.has('dispatch-job', call.namespace)) throw denied();
    if (this.registrationsOff && !call.rights.isManagement) throw new Refusal(403, DISABLED);
    const answer = this.dispatch(request);
    return { json: answer, index: Number(answer['Index']) };
  }

  /** Finds the child of the token or makes one; throws the Refusal that the server would answer. */
  dispatch(request: DispatchRequest): Readonly<Record<string, unknown>> {
    const parent = this.#state.job(request.namespace, request.parent);
    if (!parent) throw new Refusal(500, 'parameterized job not found');
    checkParent(parent);
    checkRequest(parent, request);
    const known = this.#childOf(request);
    if (known) return replay(known);
    const child = childOf(parent, request);
    const { index, evaluation } = this.#scheduler.register(child);
    if (request.token !== '') this.#byToken.set(tokenKey(request), child.ID);
    const isGhost = this.ghosts > 0;
    if (isGhost) this.ghosts -= 1;
    return {
      DispatchedJobID: isGhost ? newChildId(request) : child.ID,
      EvalCreateIndex: index,
      EvalID: isGhost ? '00000000-0000-4000-8000-00000000dead' : evaluation.ID,
      Index: index,
      JobCreateIndex: index,
    };
  }

  #childOf(request: DispatchRequest): Job | undefined {
    const id = this.#byToken.get(tokenKey(request));
    return request.token === '' || id === undefined ? undefined : this.#state.job(request.namespace, id);
  }
}

function requestOf(call: Call): DispatchRequest {
  const base = {
    namespace: call.namespace,
    parent: call.parts[0] ?? '',
    token: call.query.get('idempotency_token') ?? '',
    meta: {},
    idPrefix: '',
    priority: 0,
  };
  if (call.parts[1] === '/payload') return { ...base, payload: call.body.toString('base64') };
  const body = jsonOf(call);
  if (body['JobID'] !== undefined && body['JobID'] !== base.parent) throw new Refusal(400, 'Job ID does not match');
  const meta = (body['Meta'] ?? {}) as Readonly<Record<string, unknown>>;
  for (const value of Object.values(meta)) {
    if (typeof value === 'string') continue;
    const field = `Go struct field JobDispatchRequest.Meta of type string`;
    throw new Refusal(400, `json: cannot unmarshal ${typeof value} into ${field}`);
  }
  return {
    ...base,
    payload: base64Of(body['Payload']),
    meta: meta as Readonly<Record<string, string>>,
    idPrefix: textOf(body['IdPrefixTemplate']),
    priority: Number(body['Priority'] ?? 0),
  };
}

function base64Of(value: unknown): string {
  const text = typeof value === 'string' ? value : '';
  const wrong = text.search(/[^A-Za-z0-9+/=]/);
  if (wrong >= 0) throw new Refusal(400, `illegal base64 data at input byte ${wrong}`);
  return text;
}

function checkParent(parent: Job): void {
  if (!parent.ParameterizedJob) throw new Refusal(500, `Specified job "${parent.ID}" is not a parameterized job`);
  if (parent.Stop) throw new Refusal(500, `Specified job "${parent.ID}" is stopped`);
}

function checkRequest(parent: Job, { payload, meta, priority }: DispatchRequest): void {
  checkPayload(parent.ParameterizedJob?.Payload ?? 'optional', Buffer.from(payload, 'base64').length);
  checkMeta(parent.ParameterizedJob?.MetaRequired ?? [], parent.ParameterizedJob?.MetaOptional ?? [], meta);
  if (priority < 0 || priority > 100) throw new Refusal(500, 'dispatch job priority must be between [1, 100]');
}

function checkPayload(rule: string, size: number): void {
  if (rule === 'required' && size === 0) {
    throw new Refusal(500, 'Payload is not provided but required by parameterized job');
  }
  if (rule === 'forbidden' && size > 0) {
    throw new Refusal(500, 'Payload provided but forbidden by parameterized job');
  }
  if (size > PAYLOAD_LIMIT) throw new Refusal(500, `Payload exceeds maximum size; ${size} > ${PAYLOAD_LIMIT}`);
}

function checkMeta(
  required: readonly string[],
  optional: readonly string[],
  meta: Readonly<Record<string, string>>,
): void {
  const extra = Object.keys(meta).filter((key) => !required.includes(key) && !optional.includes(key));
  if (extra.length > 0) {
    throw new Refusal(500, `Dispatch request included unpermitted metadata keys: [${extra.join(' ')}]`);
  }
  const missing = required.filter((key) => meta[key] === undefined);
  if (missing.length > 0) {
    throw new Refusal(500, `Dispatch did not provide required meta keys: [${missing.join(' ')}]`);
  }
}

function childOf(parent: Job, request: DispatchRequest): Job {
  const id = newChildId(request);
  const meta = { ...parent.Meta, ...request.meta };
  return {
    ...parent,
    ID: id,
    Name: id,
    ParentID: parent.ID,
    Dispatched: true,
    DispatchIdempotencyToken: request.token,
    Payload: request.payload === '' ? null : request.payload,
    Meta: Object.keys(meta).length > 0 ? meta : null,
    Priority: request.priority || parent.Priority,
    Status: 'pending',
    Version: 0,
    CreateIndex: 0,
    SubmitTime: nanoseconds(),
  };
}

/** The marks of a replay: no evaluation, and the child's own indices. */
function replay(child: Job): Readonly<Record<string, unknown>> {
  return {
    DispatchedJobID: child.ID,
    EvalCreateIndex: 0,
    EvalID: '',
    Index: child.ModifyIndex,
    JobCreateIndex: child.CreateIndex,
  };
}

function newChildId({ parent, idPrefix }: DispatchRequest): string {
  const prefix = idPrefix === '' ? '' : `${idPrefix}-`;
  return `${parent}/dispatch-${prefix}${Math.floor(Date.now() / 1000)}-${randomBytes(4).toString('hex')}`;
}

function tokenKey({ namespace, parent, token }: DispatchRequest): string {
  return `${namespace}\0${parent}\0${token}`;
}
