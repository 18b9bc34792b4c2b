import { type EdgeError, StalledError, TransientError } from '../../../errors.ts';

/**
 * What went wrong, whatever was asked:
 *
 * - `busy`: we are to ask later. Never a refusal: the same token may do it then.
 * - `elsewhere`: moved for good. `away`: sent elsewhere for the time being (a page of maintenance, a login).
 * - `refused`: any other status that we can do nothing about.
 */
export type FailureKind =
  | 'busy'
  | 'broken'
  | 'silent'
  | 'unreachable'
  | 'unreadable'
  | 'changing'
  | 'away'
  | 'elsewhere'
  | 'bad-token'
  | 'no-right'
  | 'not-there'
  | 'refused';

interface Meaning {
  readonly error: 'transient' | 'stalled';
  readonly text: string;
}

/** The only words that an error of a forge takes from a failure: never the forge's own, nor the library's. */
const MEANINGS: Readonly<Record<FailureKind, Meaning>> = {
  busy: { error: 'transient', text: 'it asks us to wait' },
  broken: { error: 'transient', text: 'it has a fault of its own' },
  silent: { error: 'transient', text: 'no answer in time' },
  unreachable: { error: 'transient', text: 'it can not be reached' },
  unreadable: { error: 'transient', text: 'its answer can not be read' },
  changing: { error: 'transient', text: 'the list changed each time while it was read' },
  away: { error: 'transient', text: 'it sends us elsewhere' },
  elsewhere: { error: 'stalled', text: 'it has moved: set url and repo of [forge] to where it is now' },
  'bad-token': { error: 'stalled', text: 'it does not know our token, or the token has expired' },
  'no-right': { error: 'stalled', text: 'our token has no right to it' },
  'not-there': { error: 'stalled', text: 'the repository does not exist, or our token may not see it' },
  refused: { error: 'stalled', text: 'it refuses the request' },
};

export interface FailureDetails {
  /** An HTTP status, or the system's code of a network error. */
  readonly mark?: string | number;
  readonly retryAfterMs?: number | undefined;
}

/** `name`: method and path template of the request. */
export function failure(kind: FailureKind, name: string, { mark, retryAfterMs }: FailureDetails = {}): EdgeError {
  const { error, text } = MEANINGS[kind];
  const message = `the forge: ${name}: ${text}${mark === undefined ? '' : ` (${mark})`}`;
  if (error === 'stalled') return new StalledError('ERR_FORGE_DENIED', message);
  return new TransientError('ERR_FORGE_UNAVAILABLE', message, retryAfterMs === undefined ? {} : { retryAfterMs });
}

/** Of any status but 2xx. `limited`: headers or text say that it is about how much we ask. */
export function whatToDo(status: number, limited: boolean): FailureKind {
  if (status === 429 || (status === 403 && limited)) return 'busy';
  if (status === 408 || status >= 500) return 'broken';
  if (status === 401) return 'bad-token';
  if (status === 403) return 'no-right';
  if (status === 301 || status === 308) return 'elsewhere';
  return status < 400 ? 'away' : 'refused';
}

const CODE = /^[A-Z][A-Z0-9_]{1,63}$/;

/** The system's code of an error and nothing else of it. */
export function networkCode(error: unknown): string {
  const code: unknown = error instanceof Error && 'code' in error ? error.code : undefined;
  return typeof code === 'string' && CODE.test(code) ? code : 'no answer';
}
