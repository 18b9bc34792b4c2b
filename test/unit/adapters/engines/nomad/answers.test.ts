import { readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { type AnswerKind, errorOf, Refusal, readAnswer } from '../../../../../src/adapters/engines/nomad/answers.ts';
import { TransientError } from '../../../../../src/errors.ts';

const RECORDINGS = path.resolve('test/fixtures/recordings/nomad');
const FILES = ['dispatch', 'dispatch-race', 'acl', 'acl-parent', 'logs', 'logs-lost', 'logs-collected-early'];

interface Exchange {
  readonly note: string;
  readonly response: { readonly status?: number | null; readonly body?: unknown };
}

const refusals = [...FILES, 'connection-limit'].flatMap((name) => {
  const { exchanges } = JSON.parse(readFileSync(path.join(RECORDINGS, `${name}.json`), 'utf8')) as {
    exchanges: readonly Exchange[];
  };
  return exchanges
    .filter(({ response }) => (response.status ?? 0) >= 400 && response.body !== '(left out)')
    .map(({ note, response }) => ({
      note: `${name}: ${note}`,
      status: response.status ?? 0,
      body: String(response.body),
    }));
});

/** What each recorded text means; ids are left out. */
const MEANING: readonly (readonly [number, string, AnswerKind])[] = [
  [400, 'Request body is empty', 'refused'],
  [400, 'unexpected EOF', 'refused'],
  [400, 'illegal base64 data at input byte 0', 'refused'],
  [400, 'Job ID does not match', 'refused'],
  [400, 'Job ID must be specified', 'refused'],
  [400, 'json: cannot unmarshal number', 'refused'],
  [400, 'must provide task name', 'refused'],
  [400, 'must provide log type', 'refused'],
  [400, 'unknown task name "nosuch"', 'refused'],
  [405, 'Invalid method', 'refused'],
  [403, 'Permission denied', 'denied'],
  [500, 'rpc error: Permission denied', 'denied'],
  [500, 'rpc error: ACL token expired', 'bad-token'],
  [403, 'Job registration, dispatch, and scale are disabled by the scheduler configuration', 'refused'],
  [500, 'Dispatch did not provide required meta keys: [action_id]', 'refused'],
  [500, 'Dispatch request included unpermitted metadata keys: ', 'refused'],
  [500, 'Payload is not provided but required by parameterized job', 'refused'],
  [500, 'Payload provided but forbidden by parameterized job', 'refused'],
  [500, 'Payload exceeds maximum size; 16385 > 16384', 'refused'],
  [500, 'dispatch job priority must be between [1, 100]', 'refused'],
  [500, 'Specified job "plain" is not a parameterized job', 'refused'],
  [500, 'Specified job "', 'job-missing'],
  [500, 'parameterized job not found', 'job-missing'],
  [500, 'No path to region', 'unavailable'],
  [500, 'alloc lookup failed: index error: UUID must be 36 characters', 'refused'],
  [500, 'failed to list entries: open ', 'log-gone'],
  [404, 'state for allocation ', 'log-gone'],
  [404, 'Unknown allocation "', 'log-gone'],
  [404, 'task "runner" not started yet. No logs available', 'not-started'],
  [404, 'job not found', 'not-found'],
  [404, 'alloc not found', 'not-found'],
  [404, 'eval not found', 'not-found'],
  [429, 'Your IP is issuing too many concurrent connections, please rate limit your calls', 'rate-limited'],
];

const meaningOf = (status: number, body: string): AnswerKind | undefined =>
  MEANING.find(([of, beginning]) => of === status && body.startsWith(beginning))?.[2];

describe('what an answer of Nomad means', () => {
  it('is known for each recorded refusal', () => {
    expect(refusals.length).toBeGreaterThan(60);
    const read = refusals.map(({ note, status, body }) => [note, readAnswer(status, body).kind]);
    expect(read).toEqual(refusals.map(({ note, status, body }) => [note, meaningOf(status, body)]));
  });

  it('is covered by a recording in each row of this table', () => {
    const seen = refusals.map(({ status, body }) =>
      MEANING.find(([of, beginning]) => of === status && body.startsWith(beginning)),
    );
    expect(MEANING.filter((row) => !seen.includes(row))).toEqual([]);
  });

  it.each<readonly [number, string, AnswerKind]>([
    [500, 'No cluster leader', 'no-leader'],
    [500, 'rpc error: No cluster leader', 'no-leader'],
    [404, 'No path to node', 'unavailable'],
    [403, 'ACL token not found', 'bad-token'],
    [404, 'ACL token not found', 'not-found'],
    [500, 'failed to parse signed token: go-jose/go-jose: compact JWS format must have three parts', 'bad-token'],
    [401, 'Unauthorized', 'denied'],
    [400, 'ACL support disabled', 'acl-off'],
    [404, 'ACL auth-method not found', 'not-found'],
    [500, 'something new', 'unavailable'],
    [502, '<html>Bad Gateway</html>', 'unavailable'],
    [503, '', 'unavailable'],
    [404, '404 page not found', 'unavailable'],
    [404, '<html>not found</html>', 'unavailable'],
    [404, '', 'unavailable'],
    [408, '', 'unavailable'],
    [429, '', 'rate-limited'],
    [302, '', 'unavailable'],
  ])('is read from %i %j as %s: only what Nomad itself says is a definite no', (status, body, kind) => {
    expect(readAnswer(status, body).kind).toBe(kind);
  });

  it('never repeats a word of the server (R14)', () => {
    const hostile = refusals.map(({ status, body }) => ({ status, body: `${body} hvs.SECRET` }));
    const texts = [...hostile, { status: 500, body: 'hvs.SECRET' }, { status: 404, body: 'hvs.SECRET' }].map(
      ({ status, body }) => errorOf('GET /v1/jobs', status, readAnswer(status, body)).message,
    );
    expect(texts.join('\n')).not.toContain('SECRET');
    expect(new Set(texts.map((text) => text.slice(0, 14)))).toEqual(new Set(['GET /v1/jobs: ']));
  });
});

describe('the error of an answer', () => {
  it('is an outage for no leader, overload and whatever is not known (E2)', () => {
    const of = (status: number, body: string) => errorOf('GET /v1/jobs', status, readAnswer(status, body));
    expect(of(500, 'No cluster leader')).toBeInstanceOf(TransientError);
    expect(of(500, 'No cluster leader').message).toBe('GET /v1/jobs: 500 No cluster leader');
    expect(of(503, 'x')).toMatchObject({ code: 'ERR_ENGINE_UNAVAILABLE', retryAfterMs: undefined });
  });

  it('is a refusal with a code of ours for a definite no', () => {
    const error = errorOf('POST /v1/job/a/dispatch', 500, readAnswer(500, 'Specified job "a" is stopped'));
    expect(error).toBeInstanceOf(Refusal);
    expect(error).toMatchObject({ code: 'ERR_JOB_MISSING', kind: 'job-missing' });
    expect(error.message).toBe('POST /v1/job/a/dispatch: 500 the job is stopped');
  });

  it.each([
    [null, 1_000],
    ['7', 7_000],
    ['Wed, 21 Oct 2026 07:28:00 GMT', 1_000],
    ['-1', 1_000],
  ])('says after 429 with Retry-After %j to wait %i ms', (header, ms) => {
    expect(errorOf('GET /v1/jobs', 429, readAnswer(429, ''), header)).toMatchObject({ retryAfterMs: ms });
  });
});
