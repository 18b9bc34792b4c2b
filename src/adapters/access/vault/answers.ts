import { z } from 'zod';
import { type EdgeError, StalledError, TransientError } from '../../../errors.ts';

/**
 * What an answer of the API means, whatever was asked:
 *
 * - `no-right`: the token is good and may not do this. `bad-token`: unknown, expired, revoked or none; these two differ
 *   in the text only.
 * - `absent`: nothing at this path. `deleted`: it was there; of a secret, its current version is deleted or destroyed.
 * - `no-mount`: no engine is mounted there, or the server is too old for this path.
 * - `standby`: a server that sends us elsewhere; its redirects are not followed, since the token would go along.
 */
export type AnswerKind =
  | 'ok'
  | 'sealed'
  | 'standby'
  | 'busy'
  | 'broken'
  | 'no-right'
  | 'bad-token'
  | 'absent'
  | 'deleted'
  | 'no-mount'
  | 'refused';

/** What else can become of a request: no answer, or one that says nothing. */
type NoAnswer = 'silent' | 'unreachable' | 'unreadable';

type FailureKind = Exclude<AnswerKind, 'ok'> | NoAnswer;

interface Meaning {
  readonly error: 'transient' | 'stalled';
  readonly text: string;
}

/** The only words that an error of this adapter takes from a failure: never the server's own, nor the library's. */
const MEANINGS: Readonly<Record<FailureKind, Meaning>> = {
  sealed: { error: 'transient', text: 'it is sealed' },
  standby: { error: 'transient', text: 'it is a standby that sends us elsewhere: set the address of the active one' },
  busy: { error: 'transient', text: 'it asks us to slow down' },
  broken: { error: 'transient', text: 'it has a fault of its own' },
  silent: { error: 'transient', text: 'it did not answer in time' },
  unreachable: { error: 'transient', text: 'it can not be reached' },
  unreadable: { error: 'transient', text: 'its answer can not be read' },
  'no-right': { error: 'stalled', text: 'our token has no right to it' },
  'bad-token': { error: 'stalled', text: 'our token is unknown to it, expired or revoked' },
  absent: { error: 'stalled', text: 'it has no such thing' },
  deleted: { error: 'stalled', text: 'it was deleted there' },
  'no-mount': { error: 'stalled', text: 'nothing is mounted there' },
  refused: { error: 'stalled', text: 'it refuses the request' },
};

export interface FailureDetails {
  /** An HTTP status, or the system's code of a network error. */
  readonly mark?: string | number;
  readonly retryAfterMs?: number | undefined;
}

/** `doing`: what we were about to do, in our own words, such as `mint a token`. */
export function failure(kind: FailureKind, doing: string, { mark, retryAfterMs }: FailureDetails = {}): EdgeError {
  const { error, text } = MEANINGS[kind];
  const message = `the secret store: can not ${doing}: ${text}${mark === undefined ? '' : ` (${mark})`}`;
  if (error === 'stalled') return new StalledError('ERR_ACCESS_DENIED', message);
  return new TransientError('ERR_ACCESS_UNAVAILABLE', message, retryAfterMs === undefined ? {} : { retryAfterMs });
}

export const notAsAsked = (what: string): StalledError => new StalledError('ERR_ACCESS_DENIED', `the grant: ${what}`);

const errorsBody = z.object({ errors: z.array(z.string()) });
/** The store's own way to say it. A proxy's page says nothing of a secret, and neither does a namespace that is gone. */
const nothingThere = z.object({ errors: z.array(z.string()).max(0) });
const NO_MOUNT = ['no handler for route', 'unsupported path', 'namespace not found'];
const deletedBody = z.object({ data: z.object({ metadata: z.looseObject({}) }) });

/** 412: a replica that has not caught up yet. 408: a proxy gave up. 472, 473: standbys of HashiCorp Vault Enterprise. */
const BY_STATUS: ReadonlyMap<number, AnswerKind> = new Map([
  [200, 'ok'],
  [204, 'ok'],
  [408, 'broken'],
  [412, 'broken'],
  [429, 'busy'],
  [472, 'standby'],
  [473, 'standby'],
]);

export function kindOf(status: number, body: unknown): AnswerKind {
  const known = BY_STATUS.get(status);
  if (known !== undefined) return known;
  if (status === 403) return kindOf403(errorsOf(body));
  if (status === 404) return kindOf404(body);
  if (status === 503 && says(body, 'sealed')) return 'sealed';
  if (status < 400) return 'standby';
  return status >= 500 ? 'broken' : 'refused';
}

/** Whether one of the server's error texts holds these words. The texts themselves go nowhere. */
export function says(body: unknown, words: string): boolean {
  return errorsOf(body).some((error) => error.includes(words));
}

function kindOf403(errors: readonly string[]): AnswerKind {
  const bad = errors.some((error) => error.trim() === 'permission denied' || error.includes('invalid token'));
  return bad ? 'bad-token' : 'no-right';
}

function kindOf404(body: unknown): AnswerKind {
  if (deletedBody.safeParse(body).success) return 'deleted';
  if (nothingThere.safeParse(body).success) return 'absent';
  return NO_MOUNT.some((words) => says(body, words)) ? 'no-mount' : 'broken';
}

function errorsOf(body: unknown): readonly string[] {
  return errorsBody.safeParse(body).data?.errors ?? [];
}
