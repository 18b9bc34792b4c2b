import { describe, expect, it } from 'vitest';
import type { StopRequest } from '../../../src/domain/run.ts';
import type { Behaviour } from '../../fakes/dummy-engine.ts';
import { action, NOBODY, StoryBench } from '../../fakes/story-bench.ts';

const CANCEL: StopRequest = { kind: 'cancel', by: 'Jo', message: 'no longer needed' };
const FAILS: Behaviour = { runMs: 300, exitCode: 1, stdout: 'one' };
const UNPLACED: Behaviour = { queuedMs: 500, never: true };
const HOUR = 3_600_000;
const ACTION = 'vault/actions/a.toml';
const RETRY = { attempts: 3, on: ['failed'] };

function benchOf(behaviour = FAILS, fields: Readonly<Record<string, unknown>> = {}): StoryBench {
  const bench = new StoryBench();
  bench.access.secrets.set('TOKEN', 'present');
  bench.addFormula('tidy', { idempotent: true, concurrency: 'one', secrets: ['TOKEN'] });
  bench.addAction('a', { secrets: ['TOKEN'], retry: RETRY, ...fields });
  bench.engine.behaviours.set('a', behaviour);
  return bench;
}

/** Its first attempt has failed, and another one is due. */
async function due(fields: Readonly<Record<string, unknown>> = {}): Promise<StoryBench> {
  const bench = benchOf(FAILS, fields);
  await bench.once();
  return bench;
}

/** A new start, an hour later, at a run that behaves so. */
async function later(bench: StoryBench, behaviour: Behaviour) {
  bench.engine.behaviours.set('a', behaviour);
  await bench.pass(HOUR);
  return bench.once();
}

const codes = ({ report }: Awaited<ReturnType<StoryBench['once']>>) => report.waiting.map(({ reason }) => reason.code);
/** Executions, results, journal entries, notes, runs, tokens that still open something. */
const left = (bench: StoryBench) => [
  bench.engine.executions.length,
  bench.recorded('a'),
  bench.journal.state.entries.size,
  bench.records.files.size,
  bench.engine.known,
  bench.access.loose,
];

describe('an action that asks for more attempts', () => {
  it('waits visibly after the first has failed, with nothing recorded and its access gone', async () => {
    const bench = benchOf();
    const { report, daemon } = await bench.once();
    const message = expect.stringMatching(/^attempt 1 failed with exit code 1, attempt 2 of 3 is due at \S+Z$/);
    expect(report.waiting).toMatchObject([{ id: 'a', reason: { code: 'ERR_RETRY_DUE', message } }]);
    expect(daemon.board.line('a')).toMatchObject({ state: 'pending', reason: { code: 'ERR_RETRY_DUE' } });
    expect(left(bench)).toEqual([1, 0, 1, 1, 1, 0]);
  });

  it('tells the end of the last attempt, and those before it, each with its own run and output', async () => {
    const bench = await due();
    await later(bench, { ...FAILS, exitCode: 2, stdout: 'two' });
    await later(bench, { runMs: 300, stdout: 'three' });
    const result = bench.result('a');
    expect(result).toMatchObject({
      outcome: 'succeeded',
      exit_code: 0,
      logs: 'three',
      reason: null,
      attempt: { number: 3, executions: 1 },
      attempts: [
        { number: 1, outcome: 'failed', exit_code: 1 },
        { number: 2, outcome: 'failed', exit_code: 2 },
      ],
    });
    const runs = bench.engine.executions.map((token) => `vault-runner/${token.slice(0, 8)}`);
    expect([...(result?.attempts.map(({ run }) => run) ?? []), result?.run?.id]).toEqual(runs);
    expect(new Set(runs).size).toBe(3);
    const kept = [1, 2, 3].map((number) => bench.store.objects.get(`a/${number}/stdout.log`)?.toString());
    expect(kept).toEqual(['one', 'two', 'three']);
    expect(left(bench)).toEqual([3, 1, 0, 0, 0, 0]);
  });

  it('fails with the end of the last one, and stops at the number asked for', async () => {
    const bench = await due();
    for (const exitCode of [2, 3, 4, 5]) await later(bench, { ...FAILS, exitCode });
    expect(bench.result('a')).toMatchObject({
      outcome: 'failed',
      exit_code: 3,
      reason: { code: 'ERR_COMMAND_FAILED', message: 'the command ended with 3' },
      attempt: { number: 3 },
      attempts: [{ exit_code: 1 }, { exit_code: 2 }],
    });
    expect(left(bench)).toEqual([3, 1, 0, 0, 0, 0]);
  });

  it('rests longer after each, by itself, and a new start rests no shorter', async () => {
    const bench = benchOf();
    const starts: number[] = [];
    const { daemon } = bench.process();
    const over = new AbortController();
    const running = daemon.run(over.signal);
    while (bench.result('a') === null) {
      await bench.pass(1000);
      if (bench.engine.executions.length > starts.length) starts.push(bench.clock.monotonic());
    }
    over.abort();
    await bench.drive(running);
    const [first = 0, second = 0, third = 0] = starts;
    expect(starts).toHaveLength(3);
    expect(second - first).toBeGreaterThanOrEqual(15_000);
    expect(third - second).toBeGreaterThan(second - first);
    const again = await due();
    await again.pass(10_000);
    expect([codes(await again.once()), again.engine.executions.length]).toEqual([['ERR_RETRY_DUE'], 1]);
  });

  it('asks for no retry: one attempt, as ever', async () => {
    const bench = benchOf(FAILS, { retry: { attempts: 1, on: ['failed'] } });
    await bench.once();
    expect(bench.result('a')).toMatchObject({ outcome: 'failed', attempts: [] });
  });

  it.each<[string, Behaviour, string]>([
    ['it was lost', { end: 'lost' }, 'lost'],
    ['nobody knows its end', { end: 'unknown' }, 'unknown'],
    ['somebody else had its wrapper, whose copy may live', { reason: 'ERR_WRAPPER_USED' }, 'failed'],
    ['other bytes came than were approved', { reason: 'ERR_DIGEST' }, 'failed'],
    ['its time was over', { reason: 'ERR_DEADLINE' }, 'timed_out'],
    ['it succeeded', {}, 'succeeded'],
  ])('makes no other attempt where %s', async (_, behaviour, outcome) => {
    const bench = benchOf({ runMs: 300, ...behaviour });
    await bench.once();
    expect(bench.result('a')).toMatchObject({ outcome, attempt: { number: 1 }, attempts: [] });
    expect(left(bench).slice(1)).toEqual([1, 0, 0, 0, 0]);
  });

  it('counts no attempt that never started', async () => {
    const bench = benchOf(UNPLACED);
    await bench.once();
    const { report } = await later(bench, FAILS);
    expect(report.waiting[0]?.reason.message).toContain('attempt 2 failed with exit code 1, attempt 3 of 4 is due');
    await later(bench, UNPLACED);
    await later(bench, FAILS);
    await later(bench, FAILS);
    expect(bench.result('a')?.attempt?.number).toBe(5);
    expect(bench.result('a')?.attempts.map(({ outcome }) => outcome)).toEqual([
      'timed_out',
      'failed',
      'timed_out',
      'failed',
    ]);
    expect(left(bench)).toEqual([3, 1, 0, 0, 0, 0]);
  });
});

describe('while another attempt is due', () => {
  it.each<[string, (bench: StoryBench) => void, (bench: StoryBench) => void]>([
    [
      'ERR_PAUSED',
      ({ repo }) => repo.commitFiles({ 'vault/PAUSE': '' }),
      ({ repo }) => repo.commitFiles({ 'vault/PAUSE': null }),
    ],
    [
      'ERR_JOB_MISSING',
      ({ engine }) => void engine.missing.add('vault-runner'),
      ({ engine }) => engine.missing.clear(),
    ],
  ])('the next one waits for what every action waits for: %s', async (code, before, after) => {
    const bench = await due();
    before(bench);
    expect([codes(await later(bench, {})), bench.result('a')]).toEqual([[code], null]);
    after(bench);
    await later(bench, {});
    expect(bench.result('a')).toMatchObject({ outcome: 'succeeded', attempts: [{ number: 1 }] });
  });

  it.each<[string, string, (bench: StoryBench) => void]>([
    [
      'its formula is idempotent no more',
      'ERR_RETRY_NOT_ALLOWED',
      (bench) => bench.addFormula('tidy', { secrets: ['TOKEN'] }),
    ],
    [
      'its formula is gone',
      'ERR_FORMULA_UNKNOWN',
      ({ repo }) => repo.commitFiles({ 'vault/formulas/tidy.toml': null }),
    ],
    ['its file is gone', 'ERR_NEEDS_APPROVAL', ({ repo }) => repo.commitFiles({ [ACTION]: null })],
    [
      'its bytes are others',
      'ERR_NEEDS_APPROVAL',
      ({ repo }) => repo.commitFiles({ [ACTION]: action('a', { priority: 3 }) }),
    ],
    ['its time is over', 'ERR_APPROVAL_EXPIRED', (bench) => bench.clock.advance(9 * 24 * HOUR)],
    ['its secret is gone', 'ERR_SECRET_UNKNOWN', ({ access }) => access.secrets.clear()],
  ])('the last end is the result as soon as %s', async (_, code, change) => {
    const bench = await due();
    change(bench);
    await later(bench, {});
    const message = `the command ended with 1; not tried again: `;
    expect(bench.result('a')).toMatchObject({
      outcome: 'failed',
      exit_code: 1,
      logs: 'one',
      reason: { code: 'ERR_COMMAND_FAILED', message: expect.stringMatching(new RegExp(`^${message}.*\\(${code}\\)$`)) },
      attempt: { number: 1, executions: 1 },
      attempts: [],
      output: { stdout: { uri: 'memory:a/1/stdout.log', complete: true } },
    });
    await later(bench, {});
    expect(left(bench)).toEqual([1, 1, 0, 0, 0, 0]);
  });

  it('the last end is the result as soon as a person has to approve it', async () => {
    const bench = await due();
    const requirements = { low: { ...NOBODY, atLeast: 1 }, medium: NOBODY, high: NOBODY };
    await bench.once({ settings: { requirements } });
    expect(bench.result('a')).toMatchObject({ outcome: 'failed', exit_code: 1, attempts: [] });
    expect(left(bench)).toEqual([1, 1, 0, 0, 0, 0]);
  });

  it('the last end is the result though another attempt, which never started, came after it', async () => {
    const bench = await due();
    await later(bench, UNPLACED);
    bench.repo.commitFiles({ [ACTION]: null });
    await later(bench, {});
    expect(bench.result('a')).toMatchObject({ outcome: 'failed', exit_code: 1, attempt: { number: 1 }, attempts: [] });
    expect(left(bench)).toEqual([1, 1, 0, 0, 0, 0]);
  });

  it.each([true, false])('a wish to stop it is told with what ran; its file at the tip: %s (R9)', async (there) => {
    const bench = await due();
    await bench.control.requestStop('a', CANCEL);
    if (!there) bench.repo.commitFiles({ [ACTION]: null });
    await bench.once();
    expect(bench.result('a')).toMatchObject({
      outcome: 'cancelled',
      exit_code: 130,
      reason: { code: 'ERR_CANCELLED', by: 'Jo' },
      attempt: { number: 1 },
      attempts: [{ number: 1, outcome: 'failed', exit_code: 1 }],
    });
    expect([...left(bench), bench.control.stops.size]).toEqual([1, 1, 0, 0, 0, 0, 0]);
  });

  it('a definite no is told as the end of what ran, also where the journal was lost', async () => {
    const bench = await due();
    const { daemon, gate } = bench.process({ loop: { pollSeconds: 120 } });
    const over = new AbortController();
    const running = daemon.run(over.signal);
    await bench.pass(1000);
    bench.journal.deleteAll();
    bench.addFormula('tidy', { secrets: ['TOKEN'] });
    await bench.pass(HOUR);
    over.abort();
    await bench.drive(running);
    expect(bench.result('a')).toMatchObject({ outcome: 'failed', exit_code: 1, attempt: { number: 1 } });
    expect([gate.calls.includes('engine.dispatch'), ...left(bench)]).toEqual([false, 1, 1, 0, 0, 0, 0]);
  });

  it('the last end is the result as soon as another engine is configured', async () => {
    const bench = await due();
    const other = { engine: 'other' };
    bench.journal.change((entries) => entries.forEach((entry, id) => entries.set(id, { ...entry, ...other })));
    for (const note of await bench.records.all())
      await bench.records.save({ ...note, entry: { ...note.entry, ...other } });
    await later(bench, {});
    expect(bench.result('a')).toMatchObject({ outcome: 'failed', exit_code: 1 });
    expect(bench.result('a')?.reason?.message).toContain('not tried again: it ran on other (ERR_BACKEND_MISMATCH)');
    expect(bench.engine.executions).toHaveLength(1);
  });

  it('no other dispatcher begins it (R4)', async () => {
    const bench = await due();
    await bench.pass(HOUR);
    const other = await bench.once({ dispatcher: 'edge-2' });
    expect([codes(other), bench.engine.executions.length]).toEqual([['ERR_CLAIMED_ELSEWHERE'], 1]);
  });

  it('its action keeps its place in its group', async () => {
    const bench = await due();
    bench.addAction('b', { secrets: [] });
    const report = await bench.once();
    expect(codes(report).toSorted()).toEqual(['ERR_GROUP', 'ERR_RETRY_DUE']);
  });

  it('its end is recorded from the journal alone where its note is lost: nobody can say how many there were', async () => {
    const bench = await due();
    bench.records.files.clear();
    await later(bench, {});
    expect(bench.result('a')).toMatchObject({ outcome: 'failed', attempt: { number: 1 }, attempts: [] });
    expect(left(bench)).toEqual([1, 1, 0, 0, 0, 0]);
  });

  it.each([0, 1])('no attempt is made twice where the journal is lost after %s more (R4)', async (more) => {
    const bench = await due();
    for (let made = 0; made < more; made += 1) await later(bench, FAILS);
    const { daemon } = bench.process({ loop: { pollSeconds: 120 } });
    const over = new AbortController();
    await bench.pass(1000);
    const running = daemon.run(over.signal);
    await bench.pass(1000);
    bench.journal.deleteAll();
    bench.engine.behaviours.set('a', {});
    await bench.pass(HOUR);
    over.abort();
    await bench.drive(running);
    expect(bench.result('a')).toMatchObject({ outcome: 'succeeded', attempt: { number: more + 2 } });
    expect(new Set(bench.engine.executions).size).toBe(more + 2);
    expect(left(bench)).toEqual([more + 2, 1, 0, 0, 0, 0]);
  });
});
