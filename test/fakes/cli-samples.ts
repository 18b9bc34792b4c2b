import { createHash } from 'node:crypto';
import type { AttemptRecord } from '../../src/domain/attempt-record.ts';
import type { JournalEntry } from '../../src/domain/journal.ts';
import type { Result } from '../../src/domain/result.ts';
import type { Trailer } from '../../src/domain/trailer.ts';

export const TRAILER_KEY = '7'.repeat(64);

/** A result of a run that succeeded. */
export function sampleResult(id: string, changes: Partial<Result> = {}): Result {
  const stream = { bytes: 0, sha256: 'e'.repeat(64), complete: true, uri: null };
  return {
    id,
    exit_code: 0,
    timestamp: '2026-03-01T00:00:00Z',
    logs: 'the last line\n',
    schema: 1,
    outcome: 'succeeded',
    reason: null,
    action: { path: `vault/actions/${id}.toml`, blob: 'a'.repeat(40), commit: 'c'.repeat(40), sha256: 'd'.repeat(64) },
    formula: { name: 'publish', blob: 'b'.repeat(40), tier: 'high' },
    approval: {
      required: ['signed-commit'],
      evidence: [{ rule: 'signed-commit', by: 'Grace', what: 'x', commit: 'c'.repeat(40), at: '2026-02-28T23:00:00Z' }],
    },
    attempt: { number: 2, token: tokenOf(id), dispatcher: 'demo', executions: 1 },
    attempts: [{ number: 1, outcome: 'timed_out', exit_code: 124, run: null }],
    run: {
      isolated: false,
      engine: 'subprocess',
      id: `subprocess/${tokenOf(id)}`,
      node: 'here',
      signal: null,
      oom: false,
      digest_verified: true,
    },
    access: {
      policies: ['edge-run', 'runner-PUBLISH_TOKEN'],
      accessor_sha256: 'f'.repeat(64),
      issued_at: '2026-02-28T23:59:00Z',
      revoked_at: '2026-03-01T00:00:01Z',
    },
    output: { stdout: stream, stderr: stream, masked: { PUBLISH_TOKEN: 2 } },
    artifacts: [],
    times: {
      committed: '2026-02-28T22:00:00Z',
      approved: '2026-02-28T23:00:00Z',
      dispatched: '2026-02-28T23:59:10Z',
      started: '2026-02-28T23:59:20Z',
      finished: '2026-03-01T00:00:00Z',
      recorded: '2026-03-01T00:00:02Z',
    },
    ...changes,
  };
}

export const tokenOf = (id: string): string => createHash('sha256').update(id).digest('hex').slice(0, 32);

export function sampleEntry(id: string, blob: string, changes: Partial<JournalEntry> = {}): JournalEntry {
  return {
    id,
    blob,
    formula_blob: 'b'.repeat(40),
    attempt: 1,
    token: tokenOf(id),
    dispatcher: 'demo',
    instance: 'earlier',
    claimed_at: '2026-03-01T00:00:00Z',
    timeout_seconds: 300,
    state: 'claimed',
    engine: 'subprocess',
    group: null,
    payload_sha256: 'c'.repeat(64),
    accessors: ['accessor'],
    ...changes,
  };
}

export function sampleRecord(entry: JournalEntry): AttemptRecord {
  return {
    v: 1,
    entry,
    claimed: true,
    request: null,
    unstarted: false,
    trailer_key: TRAILER_KEY,
    grant: {
      accessor: 'accessor',
      policies: ['edge-run', 'runner-PUBLISH_TOKEN'],
      issued_at: '2026-03-01T00:00:00Z',
      expires_at: '2026-03-01T00:12:00Z',
      revoked_at: null,
    },
    action: {
      path: `vault/actions/${entry.id}.toml`,
      blob: entry.blob,
      commit: 'c'.repeat(40),
      sha256: 'd'.repeat(64),
      committed_at: '2026-02-28T22:00:00Z',
    },
    formula: { name: 'publish', blob: entry.formula_blob, tier: 'high' },
    approval: { required: ['signed-commit'], evidence: [], approved_at: null },
    dispatched_at: '2026-03-01T00:00:05Z',
    attempts: [],
  };
}

/** What a runner of a command that printed this says at its end. */
export function sampleTrailer(stderr: string): Trailer {
  const of = (text: string) => ({
    bytes: Buffer.byteLength(text),
    sha256: createHash('sha256').update(text).digest('hex'),
    cut: false,
  });
  return {
    v: 1,
    exit: 0,
    signal: null,
    reason: null,
    started: '2026-03-01T00:00:06Z',
    finished: '2026-03-01T00:00:07Z',
    digest: { action: null, formula: null },
    masked: {},
    stdout: of(''),
    stderr: of(stderr),
    artifacts: [],
  };
}

/** `started` of a runner that lives as long as this process. */
export function sampleStarted(): string {
  return JSON.stringify({ pid: 999_999, start_time: '1', boot_id: 'of another start', at: '2026-03-01T00:00:06.000Z' });
}
