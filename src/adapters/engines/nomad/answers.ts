import { type Code, StalledError, TransientError } from '../../../errors.ts';

/**
 * What an answer that is not 2xx means. Only some are a definite no; whatever is not known here is an outage, because
 * Nomad tells most refusals with 500 and a text.
 *
 * - `not-found`: the record is not there (which proves nothing about the past: it may have been collected).
 * - `denied`, `bad-token`: 403 in some form. A server that has just started says so to a good token too.
 * - `acl-off`: the server checks no tokens at all.
 * - `job-missing`, `refused`: a definite no to this request.
 * - `log-gone`, `not-started`: of logs only; nothing is kept any more, nothing is there yet.
 * - `no-leader`, `rate-limited`, `unavailable`: outages.
 */
export type AnswerKind =
  | 'not-found'
  | 'denied'
  | 'bad-token'
  | 'acl-off'
  | 'job-missing'
  | 'refused'
  | 'log-gone'
  | 'not-started'
  | 'no-leader'
  | 'rate-limited'
  | 'unavailable';

export interface Answer {
  readonly kind: AnswerKind;
  /** Ours for such an answer; of the outages ERR_ENGINE_UNAVAILABLE. */
  readonly code: Code;
  /** From the table, never the server's own words: a body may quote what was sent. */
  readonly text: string;
}

interface Row {
  /** Part of the body; forwarded texts carry `rpc error: ` before them. */
  readonly holds: string;
  readonly kind: AnswerKind;
  readonly code: Code;
  readonly text?: string;
  /** Counts with these statuses only. */
  readonly statuses?: readonly number[];
}

const UNAVAILABLE = 'ERR_ENGINE_UNAVAILABLE';

/** The first row that fits counts. */
const TABLE: readonly Row[] = [
  { holds: 'too many concurrent connections', kind: 'rate-limited', code: UNAVAILABLE, text: 'too many connections' },
  { holds: 'No cluster leader', kind: 'no-leader', code: UNAVAILABLE },
  { holds: 'No path to region', kind: 'unavailable', code: UNAVAILABLE },
  { holds: 'No path to node', kind: 'unavailable', code: UNAVAILABLE },
  { holds: 'scale are disabled', kind: 'refused', code: 'ERR_ENGINE_DENIED', text: 'job registration is switched off' },
  { holds: 'ACL support disabled', kind: 'acl-off', code: 'ERR_ENGINE_EXCESS' },
  // With 404 (a token that looks at itself) it is a workload identity: good, but no ACL token.
  { holds: 'ACL token not found', kind: 'bad-token', code: 'ERR_ENGINE_DENIED', statuses: [403, 500] },
  { holds: 'failed to parse signed token', kind: 'bad-token', code: 'ERR_ENGINE_DENIED' },
  { holds: 'ACL token expired', kind: 'bad-token', code: 'ERR_ENGINE_DENIED' },
  { holds: 'Permission denied', kind: 'denied', code: 'ERR_ENGINE_DENIED', statuses: [403, 500] },
  // dispatch
  { holds: 'parameterized job not found', kind: 'job-missing', code: 'ERR_JOB_MISSING' },
  { holds: 'is not a parameterized job', kind: 'refused', code: 'ERR_JOB_DRIFT', text: 'the job is not parameterized' },
  { holds: '" is stopped', kind: 'job-missing', code: 'ERR_JOB_MISSING', text: 'the job is stopped' },
  { holds: 'Payload is not provided but required', kind: 'refused', code: 'ERR_JOB_DRIFT' },
  { holds: 'Payload provided but forbidden', kind: 'refused', code: 'ERR_JOB_DRIFT' },
  { holds: 'Payload exceeds maximum size', kind: 'refused', code: 'ERR_PAYLOAD_SIZE' },
  { holds: 'unpermitted metadata keys', kind: 'refused', code: 'ERR_JOB_DRIFT' },
  { holds: 'did not provide required meta keys', kind: 'refused', code: 'ERR_JOB_DRIFT' },
  { holds: 'dispatch job priority must be', kind: 'refused', code: 'ERR_JOB_DRIFT' },
  // logs
  { holds: 'not started yet', kind: 'not-started', code: 'ERR_ENGINE_DENIED', statuses: [404, 500] },
  { holds: 'Unknown allocation', kind: 'log-gone', code: 'ERR_ENGINE_DENIED', statuses: [404, 500] },
  { holds: 'not found on client', kind: 'log-gone', code: 'ERR_ENGINE_DENIED', statuses: [404, 500] },
  { holds: 'no such file or directory', kind: 'log-gone', code: 'ERR_ENGINE_DENIED', statuses: [404, 500] },
  { holds: 'unknown task name', kind: 'refused', code: 'ERR_JOB_DRIFT' },
  { holds: 'UUID must be 36 characters', kind: 'refused', code: 'ERR_ENGINE_DENIED', text: 'no id of an allocation' },
];

/** Nomad's own 404 (`job not found`, `eval not found`), not that of a proxy or of a wrong path. */
const NOT_FOUND = /^(?:rpc error: )?[A-Za-z -]{1,60} not found$/;

/** Pure. `body` is what the server sent, or its beginning. */
export function readAnswer(status: number, body: string): Answer {
  const row = TABLE.find(
    ({ holds, statuses }) => body.includes(holds) && (statuses === undefined || statuses.includes(status)),
  );
  if (row !== undefined) return { kind: row.kind, code: row.code, text: row.text ?? row.holds };
  if (status === 401 || status === 403) return { kind: 'denied', code: 'ERR_ENGINE_DENIED', text: 'forbidden' };
  if (status === 404 && NOT_FOUND.test(body.trim())) {
    return { kind: 'not-found', code: 'ERR_ENGINE_DENIED', text: 'not found' };
  }
  if (status === 429) return { kind: 'rate-limited', code: UNAVAILABLE, text: 'too many requests' };
  if (status >= 400 && status < 500 && status !== 404 && status !== 408) {
    return { kind: 'refused', code: 'ERR_ENGINE_DENIED', text: 'the request is refused' };
  }
  return { kind: 'unavailable', code: UNAVAILABLE, text: 'no answer that we know' };
}

/** A definite no. Whoever expects one of its kinds catches it; for everybody else a person has to mend something. */
export class Refusal extends StalledError {
  readonly kind: AnswerKind;

  constructor(answer: Answer, message: string, hint?: string) {
    super(answer.code, message, hint === undefined ? {} : { hint });
    this.kind = answer.kind;
  }
}

const OUTAGES: readonly AnswerKind[] = ['no-leader', 'rate-limited', 'unavailable'];
const RETRY_AFTER_MS = 1_000;

/** The error of an answer: `GET /v1/jobs: 500 No cluster leader`. `retryAfter` is the header of that name. */
export function errorOf(call: string, status: number, answer: Answer, retryAfter: string | null = null): Error {
  const message = `${call}: ${status} ${answer.text}`;
  if (!OUTAGES.includes(answer.kind)) return new Refusal(answer, message);
  if (answer.kind !== 'rate-limited') return new TransientError(UNAVAILABLE, message);
  const seconds = /^\d{1,4}$/.test(retryAfter ?? '') ? Number(retryAfter) : null;
  return new TransientError(UNAVAILABLE, message, {
    retryAfterMs: seconds === null ? RETRY_AFTER_MS : seconds * 1_000,
  });
}
