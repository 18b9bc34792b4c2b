import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { encodeResult, type Result, resultSchema } from '../../../src/domain/result.ts';

const result: Result = {
  id: 'release-v120',
  exit_code: 0,
  timestamp: '2026-11-21T03:04:05Z',
  logs: 'ä\n',
  schema: 1,
  outcome: 'succeeded',
  reason: null,
  action: { path: 'vault/actions/release-v120.toml', blob: 'a', commit: 'b', sha256: 'c' },
  formula: { name: 'release', blob: 'd', tier: 'high' },
  approval: {
    required: ['signed-commit'],
    evidence: [{ rule: 'signed-commit', by: 'Jo', what: 'e', commit: 'e', at: '2026-11-21T03:00:00Z' }],
  },
  attempt: { number: 2, token: 'f', dispatcher: 'edge-1', executions: 1 },
  attempts: [{ number: 1, outcome: 'timed_out', exit_code: 124, run: null }],
  run: {
    isolated: true,
    engine: 'nomad',
    id: 'vault-runner/x',
    node: null,
    signal: null,
    oom: false,
    digest_verified: true,
  },
  access: { policies: ['runner-A'], accessor_sha256: 'g', issued_at: '2026-11-21T03:01:00Z', revoked_at: null },
  output: {
    stdout: { bytes: 3, sha256: 'h', complete: true, uri: 'file:x' },
    stderr: { bytes: 0, sha256: 'i', complete: false, uri: null },
    masked: { A: 2 },
  },
  artifacts: [{ path: 'dist/x', bytes: 1, sha256: 'j', uri: null, withheld: 'too large' }],
  times: {
    committed: '2026-11-21T02:59:00Z',
    approved: '2026-11-21T03:00:00Z',
    dispatched: '2026-11-21T03:01:01Z',
    started: '2026-11-21T03:01:02Z',
    finished: '2026-11-21T03:04:05Z',
    recorded: '2026-11-21T03:04:07Z',
  },
};

const golden = readFileSync(new URL('../../fixtures/results/succeeded.result.json', import.meta.url), 'utf8');

describe('encodeResult', () => {
  it('says what a task or a person wrote, and holds nothing of it that hides what stands beside it', () => {
    const logs = 'a\u202eb\u200b\u009b2J\u2028\u{e0041}☀️\n';
    const text = encodeResult({ ...result, logs }).toString('utf8');
    expect(text).toContain(String.raw`"logs": "a\u202eb\u200b\u009b2J\u2028\udb40\udc41☀️\n"`);
    expect(JSON.parse(text)).toMatchObject({ logs });
  });

  it('writes the fields in the order of the format, two spaces deep, with a final newline', () => {
    expect(encodeResult(result).toString('utf8')).toBe(golden);
  });

  it('writes the same bytes whatever the order of the keys was', () => {
    const shuffled = fc.shuffledSubarray(Object.entries(result), { minLength: Object.keys(result).length });
    fc.assert(
      fc.property(shuffled, (entries) => {
        const mixed = resultSchema.parse(Object.fromEntries(entries));
        expect(encodeResult(mixed).toString('utf8')).toBe(golden);
      }),
    );
  });

  it('can be read again', () => {
    expect(resultSchema.parse(JSON.parse(encodeResult(result).toString('utf8')))).toEqual(result);
  });

  it('begins with the four fields that older readers rely on', () => {
    expect(Object.keys(JSON.parse(golden) as object).slice(0, 5)).toEqual([
      'id',
      'exit_code',
      'timestamp',
      'logs',
      'schema',
    ]);
  });

  it.each([
    { exit_code: 0.5 },
    { outcome: 'skipped' },
    { timestamp: '2026-11-21 03:04:05' },
    { formula: undefined },
    { run: undefined },
    { more: 1 },
    { schema: 2 },
  ])('refuses %j', (change) => {
    expect(resultSchema.safeParse({ ...result, ...change }).success).toBe(false);
  });
});
