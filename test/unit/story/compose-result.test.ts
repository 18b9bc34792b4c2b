import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { AttemptRecord } from '../../../src/domain/attempt-record.ts';
import { sha256 } from '../../../src/domain/ids.ts';
import { encodeResult, type Result, resultSchema } from '../../../src/domain/result.ts';
import type { RunEnd, StopRequest } from '../../../src/domain/run.ts';
import type { Trailer } from '../../../src/domain/trailer.ts';
import { type EndedAttempt, resultOfAttempt, resultWithoutRun } from '../../../src/story/compose-result.ts';
import { outcomeOf } from '../../../src/story/outcome.ts';
import { reason } from '../../../src/story/reasons.ts';
import type { Candidate } from '../../../src/story/world.ts';
import { StoryBench } from '../../fakes/story-bench.ts';

const NOW = new Date('2026-03-31T12:34:56.789Z');
const KEYS = Object.keys(resultSchema.shape).filter((key) => key !== 'sidecar');
/** In whatever part of a result. */
const STAMP = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/;

async function claimed(): Promise<{ record: AttemptRecord; candidate: Candidate }> {
  const bench = new StoryBench();
  bench.addAction('a');
  const { daemon, watcher, gate } = bench.process();
  const killed = new Promise<void>((resolve) => gate.slow('engine.dispatch', () => new Promise(() => resolve())));
  void daemon.once(new AbortController().signal);
  await bench.drive(killed);
  const [record] = await bench.records.all();
  const candidate = [...(await bench.process().watcher.look()).candidates.values()][0];
  if (record === undefined || candidate === undefined) throw new Error('nothing was claimed');
  void watcher;
  return { record, candidate };
}

const run = { token: '' as never, id: 'vault-runner/x', node: 'node-1' };
const trailer = (record: AttemptRecord): Trailer => ({
  v: 1,
  exit: 0,
  signal: null,
  reason: null,
  started: '2026-03-31T12:00:01.111Z',
  finished: '2026-03-31T12:00:02.222Z',
  digest: { action: record.action.blob, formula: record.entry.formula_blob },
  masked: { TOKEN: 2 },
  stdout: { bytes: 0, sha256: '', cut: false },
  stderr: { bytes: 0, sha256: '', cut: false },
  artifacts: [],
});

const exited = (exitCode: number): RunEnd => {
  return {
    kind: 'exited',
    exitCode,
    signal: null,
    oom: false,
    startedAt: '2026-03-31T12:00:00.999Z',
    finishedAt: null,
  };
};

function stampsOf(result: Result): (string | null)[] {
  return [
    result.timestamp,
    ...Object.values(result.times),
    result.access?.issued_at ?? null,
    result.access?.revoked_at ?? null,
  ];
}

describe('resultOfAttempt', () => {
  it('fits the schema, in its order, with whole seconds, whatever came of the run', async () => {
    const { record } = await claimed();
    const ends = fc.oneof(
      fc.constantFrom<RunEnd>(...(['lost', 'unknown', 'not-started'] as const).map((kind) => ({ kind, message: 'm' }))),
      fc.nat(255).map(exited),
    );
    const stops = fc.constantFrom<StopRequest | null>(null, { kind: 'cancel', by: 'Jo', message: 'm' });
    fc.assert(
      fc.property(ends, stops, fc.boolean(), fc.boolean(), (end, stop, hasTrailer, hasRun) => {
        const words = hasTrailer ? trailer(record) : null;
        const collected = { trailer: words, output: null, artifacts: [], logs: 'l' };
        const ended = { record, run: hasRun ? run : null, isolated: true, collected: hasRun ? collected : null };
        const times = { startedAt: '2026-03-31T12:00:00.999Z', finishedAt: null };
        const result = resultOfAttempt({ ...ended, ...times, end: outcomeOf(end, words, stop) }, NOW);
        expect(resultSchema.parse(result)).toEqual(result);
        expect(Object.keys(JSON.parse(encodeResult(result).toString('utf8')) as object)).toEqual(KEYS);
        expect(stampsOf(result).filter((stamp) => stamp !== null && !STAMP.test(stamp))).toEqual([]);
        expect(result.attempt?.executions).toBe(hasRun ? 1 : 0);
      }),
    );
  });

  it('says what was run, by whom, with what access, and when', async () => {
    const { record } = await claimed();
    const collected = { trailer: trailer(record), output: null, artifacts: [], logs: 'tail' };
    const ended: EndedAttempt = {
      record: { ...record, grant: { ...record.grant, revoked_at: '2026-03-31T12:00:03.333Z' } },
      run,
      isolated: true,
      collected,
      end: outcomeOf(exited(0), collected.trailer, null),
      startedAt: '2026-03-31T12:00:00.999Z',
      finishedAt: '2026-03-31T12:00:09.999Z',
    };
    const result = resultOfAttempt(ended, NOW);
    expect(result).toMatchObject({
      id: 'a',
      exit_code: 0,
      logs: 'tail',
      action: { path: 'vault/actions/a.toml', blob: record.entry.blob, sha256: record.action.sha256 },
      formula: { name: 'tidy', blob: record.entry.formula_blob, tier: 'low' },
      attempt: { number: 1, token: record.entry.token, dispatcher: 'edge-1' },
      run: { isolated: true, engine: 'dummy', id: 'vault-runner/x', node: 'node-1', digest_verified: true },
      access: { accessor_sha256: sha256(record.grant.accessor), revoked_at: '2026-03-31T12:00:03Z' },
    });
    // The runner's own clock counts before the engine's; `timestamp` is when it finished.
    expect(result.times).toMatchObject({
      started: '2026-03-31T12:00:01Z',
      finished: '2026-03-31T12:00:02Z',
      recorded: '2026-03-31T12:34:56Z',
    });
    expect(result.timestamp).toBe('2026-03-31T12:00:02Z');
    expect(JSON.stringify(result)).not.toContain(record.grant.accessor);
  });

  it.each([
    ['action', { action: 'f'.repeat(40) }],
    ['formula', { formula: null }],
  ])('does not call the digest verified when that of the %s is another one', async (_, wrong) => {
    const { record } = await claimed();
    const words = { ...trailer(record), digest: { ...trailer(record).digest, ...wrong } };
    const collected = { trailer: words, output: null, artifacts: [], logs: '' };
    const times = { startedAt: null, finishedAt: null };
    const ended = { record, run, isolated: true, collected, end: outcomeOf(exited(0), words, null), ...times };
    expect(resultOfAttempt(ended, NOW).run?.digest_verified).toBe(false);
  });

  it('takes the time of the record where nobody knows when it finished', async () => {
    const { record } = await claimed();
    const end = outcomeOf({ kind: 'lost', message: 'gone' }, null, null);
    const ended = { record, run: null, isolated: false, collected: null, end, startedAt: null, finishedAt: null };
    const result = resultOfAttempt(ended, NOW);
    expect([result.timestamp, result.times.finished, result.run, result.output]).toEqual([
      '2026-03-31T12:34:56Z',
      null,
      null,
      null,
    ]);
  });
});

describe('resultWithoutRun', () => {
  it.each([
    ['invalid', 64],
    ['refused', 64],
    ['cancelled', 130],
  ] as const)('of %s has the exit code %i and nothing of a run', async (outcome, exitCode) => {
    const { candidate } = await claimed();
    const why = reason('ERR_CANCELLED', 'no', 'Jo');
    const result = resultWithoutRun(candidate, { outcome, reason: why }, NOW);
    expect(resultSchema.parse(result)).toEqual(result);
    expect(Object.keys(JSON.parse(encodeResult(result).toString('utf8')) as object)).toEqual(KEYS);
    expect(result).toMatchObject({ exit_code: exitCode, outcome, reason: why, attempt: null, run: null, access: null });
    expect([result.timestamp, result.times.committed]).toEqual(['2026-03-31T12:34:56Z', '2026-03-31T12:00:00Z']);
  });
});
