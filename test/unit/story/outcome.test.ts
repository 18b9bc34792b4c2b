import { describe, expect, it } from 'vitest';
import type { RunEnd, StopRequest } from '../../../src/domain/run.ts';
import { RUNNER_REASONS, type Trailer } from '../../../src/domain/trailer.ts';
import { CODES } from '../../../src/errors.ts';
import { outcomeOf } from '../../../src/story/outcome.ts';

const at = '2026-03-31T12:00:00Z';
const exited = (
  exitCode: number,
  more: { signal?: string; oom?: boolean } = {},
): Extract<RunEnd, { kind: 'exited' }> => {
  return { kind: 'exited', exitCode, signal: null, oom: false, startedAt: at, finishedAt: at, ...more };
};
const stream = { bytes: 0, sha256: '', cut: false };
const said = (exit: number, more: Partial<Trailer> = {}): Trailer => ({
  v: 1,
  exit,
  signal: null,
  reason: null,
  started: at,
  finished: at,
  digest: { action: null, formula: null },
  masked: {},
  stdout: stream,
  stderr: stream,
  artifacts: [],
  ...more,
});
const cancel: StopRequest = { kind: 'cancel', by: 'Jo', message: 'no longer needed' };
const deadline: StopRequest = { kind: 'deadline', by: 'edge-1', message: 'still there' };

const ENDS = {
  'exit 0': exited(0),
  'exit 3': exited(3),
  'exit 143 by TERM': exited(143, { signal: 'SIGTERM' }),
  'exit 137 by OOM': exited(137, { signal: 'SIGKILL', oom: true }),
  'exit 69': exited(69),
  lost: { kind: 'lost', message: 'node-1 is gone' },
  unknown: { kind: 'unknown', message: 'nobody knows' },
  'not started': { kind: 'not-started', message: 'no room' },
} as const satisfies Record<string, RunEnd>;
const TRAILERS = {
  none: null,
  own: 'own',
  'a reason': 'ERR_SECRET_MISSING',
  'its deadline': 'ERR_DEADLINE',
} as const;
const STOPS = { nobody: null, cancel, deadline } as const;

type Row = readonly [
  end: keyof typeof ENDS,
  trailer: keyof typeof TRAILERS,
  stop: keyof typeof STOPS,
  expected: string,
];

/** Every combination, as `outcome exit_code code`. */
const TABLE: readonly Row[] = [
  ['exit 0', 'none', 'nobody', 'succeeded 0 -'],
  ['exit 0', 'none', 'cancel', 'succeeded 0 -'],
  ['exit 0', 'none', 'deadline', 'succeeded 0 -'],
  ['exit 0', 'own', 'nobody', 'succeeded 0 -'],
  ['exit 0', 'own', 'cancel', 'succeeded 0 -'],
  ['exit 0', 'own', 'deadline', 'succeeded 0 -'],
  ['exit 0', 'a reason', 'nobody', 'failed 69 ERR_SECRET_MISSING'],
  ['exit 0', 'a reason', 'cancel', 'failed 69 ERR_SECRET_MISSING'],
  ['exit 0', 'a reason', 'deadline', 'failed 69 ERR_SECRET_MISSING'],
  ['exit 0', 'its deadline', 'nobody', 'timed_out 124 ERR_DEADLINE'],
  ['exit 0', 'its deadline', 'cancel', 'timed_out 124 ERR_DEADLINE'],
  ['exit 0', 'its deadline', 'deadline', 'timed_out 124 ERR_DEADLINE'],
  ['exit 3', 'none', 'nobody', 'failed 3 ERR_RUNNER'],
  ['exit 3', 'none', 'cancel', 'cancelled 130 ERR_CANCELLED'],
  ['exit 3', 'none', 'deadline', 'timed_out 124 ERR_DEADLINE'],
  ['exit 3', 'own', 'nobody', 'failed 3 ERR_COMMAND_FAILED'],
  ['exit 3', 'own', 'cancel', 'cancelled 130 ERR_CANCELLED'],
  ['exit 3', 'own', 'deadline', 'timed_out 124 ERR_DEADLINE'],
  ['exit 3', 'a reason', 'nobody', 'failed 69 ERR_SECRET_MISSING'],
  ['exit 3', 'a reason', 'cancel', 'cancelled 130 ERR_CANCELLED'],
  ['exit 3', 'a reason', 'deadline', 'timed_out 124 ERR_DEADLINE'],
  ['exit 3', 'its deadline', 'nobody', 'timed_out 124 ERR_DEADLINE'],
  ['exit 3', 'its deadline', 'cancel', 'timed_out 124 ERR_DEADLINE'],
  ['exit 3', 'its deadline', 'deadline', 'timed_out 124 ERR_DEADLINE'],
  ['exit 143 by TERM', 'none', 'nobody', 'failed 143 ERR_COMMAND_SIGNALLED'],
  ['exit 143 by TERM', 'none', 'cancel', 'cancelled 130 ERR_CANCELLED'],
  ['exit 143 by TERM', 'none', 'deadline', 'timed_out 124 ERR_DEADLINE'],
  ['exit 143 by TERM', 'own', 'nobody', 'failed 143 ERR_COMMAND_SIGNALLED'],
  ['exit 143 by TERM', 'own', 'cancel', 'cancelled 130 ERR_CANCELLED'],
  ['exit 143 by TERM', 'own', 'deadline', 'timed_out 124 ERR_DEADLINE'],
  ['exit 143 by TERM', 'a reason', 'nobody', 'failed 69 ERR_SECRET_MISSING'],
  ['exit 143 by TERM', 'a reason', 'cancel', 'cancelled 130 ERR_CANCELLED'],
  ['exit 143 by TERM', 'a reason', 'deadline', 'timed_out 124 ERR_DEADLINE'],
  ['exit 143 by TERM', 'its deadline', 'nobody', 'timed_out 124 ERR_DEADLINE'],
  ['exit 143 by TERM', 'its deadline', 'cancel', 'timed_out 124 ERR_DEADLINE'],
  ['exit 143 by TERM', 'its deadline', 'deadline', 'timed_out 124 ERR_DEADLINE'],
  ['exit 137 by OOM', 'none', 'nobody', 'failed 137 ERR_OOM'],
  ['exit 137 by OOM', 'none', 'cancel', 'cancelled 130 ERR_CANCELLED'],
  ['exit 137 by OOM', 'none', 'deadline', 'timed_out 124 ERR_DEADLINE'],
  ['exit 137 by OOM', 'own', 'nobody', 'failed 137 ERR_OOM'],
  ['exit 137 by OOM', 'own', 'cancel', 'cancelled 130 ERR_CANCELLED'],
  ['exit 137 by OOM', 'own', 'deadline', 'timed_out 124 ERR_DEADLINE'],
  ['exit 137 by OOM', 'a reason', 'nobody', 'failed 69 ERR_SECRET_MISSING'],
  ['exit 137 by OOM', 'a reason', 'cancel', 'cancelled 130 ERR_CANCELLED'],
  ['exit 137 by OOM', 'a reason', 'deadline', 'timed_out 124 ERR_DEADLINE'],
  ['exit 137 by OOM', 'its deadline', 'nobody', 'timed_out 124 ERR_DEADLINE'],
  ['exit 137 by OOM', 'its deadline', 'cancel', 'timed_out 124 ERR_DEADLINE'],
  ['exit 137 by OOM', 'its deadline', 'deadline', 'timed_out 124 ERR_DEADLINE'],
  ['exit 69', 'none', 'nobody', 'failed 69 ERR_RUNNER'],
  ['exit 69', 'none', 'cancel', 'cancelled 130 ERR_CANCELLED'],
  ['exit 69', 'none', 'deadline', 'timed_out 124 ERR_DEADLINE'],
  ['exit 69', 'own', 'nobody', 'failed 69 ERR_COMMAND_FAILED'],
  ['exit 69', 'own', 'cancel', 'cancelled 130 ERR_CANCELLED'],
  ['exit 69', 'own', 'deadline', 'timed_out 124 ERR_DEADLINE'],
  ['exit 69', 'a reason', 'nobody', 'failed 69 ERR_SECRET_MISSING'],
  ['exit 69', 'a reason', 'cancel', 'cancelled 130 ERR_CANCELLED'],
  ['exit 69', 'a reason', 'deadline', 'timed_out 124 ERR_DEADLINE'],
  ['exit 69', 'its deadline', 'nobody', 'timed_out 124 ERR_DEADLINE'],
  ['exit 69', 'its deadline', 'cancel', 'timed_out 124 ERR_DEADLINE'],
  ['exit 69', 'its deadline', 'deadline', 'timed_out 124 ERR_DEADLINE'],
];

/** Without the runner's last words, what the engine does not know nobody knows. */
const WITHOUT_EXIT = [
  ['lost', 'nobody', 'lost 70 ERR_LOST'],
  ['lost', 'cancel', 'lost 70 ERR_LOST'],
  ['lost', 'deadline', 'lost 70 ERR_LOST'],
  ['unknown', 'nobody', 'unknown 70 ERR_RUN_UNKNOWN'],
  ['unknown', 'cancel', 'unknown 70 ERR_RUN_UNKNOWN'],
  ['unknown', 'deadline', 'unknown 70 ERR_RUN_UNKNOWN'],
] as const satisfies readonly (readonly [keyof typeof ENDS, keyof typeof STOPS, string])[];

/** With them, signed, its end is known although its place or the engine's record of it is gone (E5). */
const BY_LAST_WORDS = [
  ['own', 'nobody', 'failed 3 ERR_COMMAND_FAILED'],
  ['own', 'cancel', 'cancelled 130 ERR_CANCELLED'],
  ['own', 'deadline', 'timed_out 124 ERR_DEADLINE'],
  ['a reason', 'nobody', 'failed 69 ERR_SECRET_MISSING'],
  ['a reason', 'cancel', 'cancelled 130 ERR_CANCELLED'],
  ['a reason', 'deadline', 'timed_out 124 ERR_DEADLINE'],
  ['its deadline', 'nobody', 'timed_out 124 ERR_DEADLINE'],
  ['its deadline', 'cancel', 'timed_out 124 ERR_DEADLINE'],
  ['its deadline', 'deadline', 'timed_out 124 ERR_DEADLINE'],
] as const satisfies readonly (readonly [keyof typeof TRAILERS, keyof typeof STOPS, string])[];

/** Never placed: nothing can have said anything. */
const NEVER_PLACED = [
  ['nobody', 'timed_out 124 ERR_NOT_PLACED'],
  ['cancel', 'cancelled 130 ERR_CANCELLED'],
  ['deadline', 'timed_out 124 ERR_NOT_PLACED'],
] as const satisfies readonly (readonly [keyof typeof STOPS, string])[];

function told([end, trailer, stop]: readonly [keyof typeof ENDS, keyof typeof TRAILERS, keyof typeof STOPS]) {
  const how: RunEnd = ENDS[end];
  const reason = TRAILERS[trailer];
  const exit = how.kind === 'exited' ? how.exitCode : 3;
  const words = reason === null ? null : said(exit, reason === 'own' ? {} : { reason });
  return outcomeOf(how, words, STOPS[stop]);
}

const short = ({ outcome, exitCode, reason }: ReturnType<typeof outcomeOf>) =>
  `${outcome} ${exitCode} ${reason?.code ?? '-'}`;
const rows: readonly Row[] = [
  ...TABLE,
  ...WITHOUT_EXIT.map(([end, stop, expected]): Row => [end, 'none', stop, expected]),
  ...BY_LAST_WORDS.flatMap(([trailer, stop, expected]) =>
    (['lost', 'unknown'] as const).map((end): Row => [end, trailer, stop, expected]),
  ),
  ...NEVER_PLACED.flatMap(([stop, expected]) =>
    (['none', 'own', 'a reason', 'its deadline'] as const).map(
      (trailer): Row => ['not started', trailer, stop, expected],
    ),
  ),
];

describe('outcomeOf', () => {
  it("takes the runner's signed last words for a success whose place is gone since (E5)", () => {
    expect(outcomeOf(ENDS.lost, said(0), null)).toMatchObject({ outcome: 'succeeded', exitCode: 0, reason: null });
  });

  it('takes no success where the runner itself said another code than the engine', () => {
    expect(outcomeOf(exited(0), said(3), null)).toMatchObject({ outcome: 'failed', exitCode: 3 });
  });

  it.each(['ERR_WRAPPER_USED', 'ERR_DIGEST'] as const)('lets no wish to stop hide the security event %s', (code) => {
    expect(outcomeOf(ENDS['exit 69'], said(69, { reason: code }), cancel)).toMatchObject({
      outcome: 'failed',
      exitCode: 69,
      reason: { code },
    });
  });

  it.each(rows)('%s, trailer %s, asked to stop by %s: %s (E1)', (...row) => {
    expect(short(told([row[0], row[1], row[2]]))).toBe(row[3]);
  });

  it('has a row for every combination', () => {
    const all = Object.keys(ENDS).length * Object.keys(TRAILERS).length * Object.keys(STOPS).length;
    expect(new Set(rows.map(([end, trailer, stop]) => `${end}|${trailer}|${stop}`)).size).toBe(all);
  });

  it.each([
    [exited(137), null, 'failed 137 ERR_COMMAND_SIGNALLED', 'the engine stopped it: alloc is being migrated'],
    [exited(3), null, 'failed 3 ERR_COMMAND_SIGNALLED', 'the engine stopped it: alloc is being migrated'],
    [exited(0), null, 'succeeded 0 -', undefined],
    [exited(137, { oom: true }), null, 'failed 137 ERR_OOM', expect.stringContaining('memory')],
    [exited(137), cancel, 'cancelled 130 ERR_CANCELLED', 'no longer needed'],
    [exited(137), deadline, 'timed_out 124 ERR_DEADLINE', 'still there'],
  ])('of a run that the engine stopped, %j, asked to by %j: %s (E1)', (exit, stop, expected, message) => {
    const end = { ...exit, stopped: 'alloc is being migrated' };
    const outcome = outcomeOf(end, said(exit.exitCode), stop);
    expect([short(outcome), outcome.reason?.message]).toEqual([expected, message]);
    expect(short(outcomeOf(end, null, stop))).toBe(expected);
  });

  it.each(['ERR_WRAPPER_USED', 'ERR_SECRET_MISSING'] as const)(
    'believes the runner’s own %s over the drain that came after it',
    (code) => {
      const end: RunEnd = { ...exited(69), stopped: 'alloc is being migrated' };
      expect(short(outcomeOf(end, said(69, { reason: code }), null))).toBe(`failed 69 ${code}`);
    },
  );

  it('never calls a failure by the exit code 0, and gives a reason with a hint unless it succeeded', () => {
    for (const [end, trailer, stop] of rows) {
      const { outcome, exitCode, reason } = told([end, trailer, stop]);
      expect(exitCode === 0).toBe(outcome === 'succeeded');
      expect(reason?.hint ?? null).toBe(outcome === 'succeeded' ? null : reason && CODES[reason.code].hint);
      expect(reason === null).toBe(outcome === 'succeeded');
    }
  });

  it('names who asked for the cancel', () => {
    expect(told(['exit 3', 'own', 'cancel']).reason).toMatchObject({ by: 'Jo', message: 'no longer needed' });
  });

  it('keeps signal and OOM, also where we asked it to stop (E1)', () => {
    const killed = outcomeOf(exited(137, { oom: true }), said(137, { signal: 'SIGKILL' }), cancel);
    expect(killed).toMatchObject({ outcome: 'cancelled', signal: 'SIGKILL', oom: true });
    expect(outcomeOf(exited(134), said(134, { signal: 'SIGABRT' }), null)).toMatchObject({
      signal: 'SIGABRT',
      reason: { code: 'ERR_COMMAND_SIGNALLED', message: 'the command was ended by SIGABRT' },
    });
  });

  it.each(RUNNER_REASONS.filter((code) => code !== 'ERR_DEADLINE'))('is failed, 69, for the runner’s %s', (code) => {
    const { outcome, exitCode, reason } = outcomeOf(exited(69), said(69, { reason: code }), null);
    expect([outcome, exitCode, reason?.code]).toEqual(['failed', 69, code]);
    expect(reason?.message).toMatch(/^the runner ended it: .{10,}/);
  });
});
