import { isDeepStrictEqual } from 'node:util';
import { type Action, parseAction } from '../domain/action.ts';
import { type Formula, parseFormula } from '../domain/formula.ts';
import { blobOid, isActionId, isSidecarId, sidecarNameOf } from '../domain/ids.ts';
import { checkInputs } from '../domain/inputs.ts';
import type { Payload, SidecarWork } from '../domain/payload.ts';
import type { Parsed } from '../domain/problems.ts';
import { sidecarAction } from '../domain/sidecar.ts';
import type { Redemption } from './redemption.ts';
import { RunnerError } from './runner-error.ts';

/** Git's ids of the bytes that the payload really holds, whatever it says of them. */
export interface Digest {
  readonly action: string;
  readonly formula: string;
}

/** What was approved, read from the very bytes that were approved. A sidecar asks for what its formula lists. */
export interface Approved {
  readonly action: Action;
  readonly formula: Formula;
}

/** Object ids of the payload's action and formula, in the hash that its own `blobs` are written in. */
export function digestOf(payload: Payload): Digest {
  const hash = payload.blobs.action.length === 64 ? 'sha256' : 'sha1';
  return { action: blobOid(bytesOf(payload.action), hash), formula: blobOid(bytesOf(payload.formula), hash) };
}

/**
 * The action and formula of the payload, after everything that can disagree was held against everything else: the bytes
 * against the payload's ids and the wrapper's, the wrapper's attempt against the payload's, the names granted against
 * the names that the action asks for, a sidecar's issue against its id. Throws RunnerError (ERR_DIGEST).
 */
export function readApproved(payload: Payload, digest: Digest, redemption: Redemption): Approved {
  if (!isDeepStrictEqual({ ...payload.blobs }, digest)) throw wrong('the payload is not of the blobs that it names');
  if (!isDeepStrictEqual({ ...redemption.blobs }, digest)) throw wrong('the wrapper is for other blobs');
  if (redemption.attempt !== payload.token) throw wrong('the wrapper is for another attempt');
  const { action, formula } = payload.sidecar === undefined ? asAction(payload) : asSidecar(payload, payload.sidecar);
  if (!areSame(action.secrets, redemption.names) || !areSame(action.secrets, Object.keys(payload.access.secrets))) {
    throw wrong('the secrets granted are not those that the action names');
  }
  const inputs = checkInputs(formula.inputs, action.inputs, `${payload.id}.toml`);
  if (inputs.problems.length > 0 || !isDeepStrictEqual({ ...payload.inputs }, { ...inputs.values })) {
    throw wrong('the inputs in the payload are not those of the action');
  }
  return { action, formula };
}

/** Its id is the stem of a file: one with a slash is a sidecar's, whatever the bytes say. */
function asAction({ id, action: bytes, formula }: Payload): Approved {
  if (!isActionId(id)) throw wrong('the id in the payload is not that of an action');
  const action = parsed(parseAction(bytesOf(bytes), `${id}.toml`), 'action');
  return { action, formula: formulaOf(formula, action.formula) };
}

/** The bytes in the place of the action are a project file, which is for the command alone to understand. */
function asSidecar({ id, formula: bytes }: Payload, work: SidecarWork): Approved {
  const name = sidecarNameOf(id);
  if (name === null || !isSidecarId(id)) throw wrong('the id in the payload is not that of a sidecar');
  if (name.issue !== work.issue) throw wrong('the issue in the payload is not that of its id');
  const formula = formulaOf(bytes, name.formula);
  if (!formula.unattended) throw wrong('the formula in the payload may not run as a sidecar');
  return { action: sidecarAction(id, formula, work), formula };
}

function formulaOf(bytes: string, name: string): Formula {
  return parsed(parseFormula(bytesOf(bytes), `${name}.toml`), 'formula');
}

const bytesOf = (base64: string) => Buffer.from(base64, 'base64');

function parsed<T>(result: Parsed<T>, what: string): T {
  if (result.ok) return result.value;
  throw wrong(`the ${what} in the payload is not a valid ${what} of its name`);
}

function areSame(names: readonly string[], others: readonly string[]): boolean {
  return isDeepStrictEqual(names.toSorted(), others.toSorted());
}

function wrong(message: string): RunnerError {
  return new RunnerError('ERR_DIGEST', `${message}; nothing was started`);
}
