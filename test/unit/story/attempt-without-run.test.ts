import { describe, expect, it } from 'vitest';
import { CODES, TransientError } from '../../../src/errors.ts';
import { finishAttempt } from '../../../src/story/run-action.ts';
import { claimed, DONE, left, noted, outcome } from '../../fakes/claimed-attempt.ts';

const never = new AbortController().signal;

describe('an attempt without a run', () => {
  it('is unknown where the engine knows none and its request was answered already: nothing is dispatched again (R6)', async () => {
    const { bench, context, record } = await claimed();
    const ending = await bench.drive(finishAttempt({ ...record, request: null }, context, never));
    expect(outcome(ending)).toBe('unknown');
    expect(bench.result('a')).toMatchObject({ run: null, output: null, attempt: { executions: 0 }, exit_code: 70 });
    expect(left(bench)).toEqual([0, 1, 0, 0, 0]);
  });

  it('whose wrapper is too old is proven unstarted by consuming it, and its next attempt runs (R6)', async () => {
    const { bench, context, record } = await claimed();
    bench.clock.advance(720_000);
    // The store still redeems it: nobody did before.
    for (const wrapper of bench.access.wrappers.values()) Object.assign(wrapper, { expiresAt: Infinity });
    expect(outcome(await finishAttempt(record, context, never))).toBe('waiting ERR_NOT_PLACED');
    expect(await bench.records.load(record.entry.token)).toMatchObject({ unstarted: true, request: null });
    await bench.once();
    expect(bench.result('a')).toMatchObject({
      outcome: 'succeeded',
      attempt: { number: 2 },
      attempts: [{ number: 1, outcome: 'timed_out' }],
    });
    expect(left(bench)).toEqual(DONE);
  });

  it.each([
    ['used', (wrapper: { used: boolean }) => Object.assign(wrapper, { used: true })],
    ['expired', () => undefined],
  ])('whose wrapper is %s is unknown: somebody may have started with it (R6)', async (_, spoil) => {
    const { bench, context, record } = await claimed();
    bench.clock.advance(720_000);
    for (const wrapper of bench.access.wrappers.values()) spoil(wrapper);
    expect(outcome(await bench.drive(finishAttempt(record, context, never)))).toBe('unknown');
    expect(left(bench)).toEqual([0, 1, 0, 0, 0]);
    expect(Object.keys(CODES)).toContain(bench.result('a')?.reason?.code);
  });

  it('that the engine could not place goes back to waiting with the engine’s own reason (R6)', async () => {
    const { bench, context, record } = await claimed({ queuedMs: 5000, never: true });
    const ending = await bench.drive(finishAttempt(record, context, never));
    expect(ending).toMatchObject({ kind: 'waiting', reason: { code: 'ERR_NOT_PLACED' } });
    expect(ending.kind === 'waiting' && ending.reason.message).toContain('no node has the volume ssh');
    expect([bench.result('a'), bench.access.loose]).toEqual([null, 0]);
  });

  it('whose proof the disk did not take at once is proven all the same: its wrapper is not asked again (R4, R6)', async () => {
    const { bench, process, context, record } = await claimed({ queuedMs: 5000, never: true });
    let left = 3;
    process.gate.plan((call, when) => {
      const isProof = call === 'records.save' && when === 'before' && process.gate.calls.includes('access.consume');
      left -= isProof ? 1 : 0;
      return isProof && left >= 0 ? new TransientError('ERR_STORE_UNAVAILABLE', 'no space left on the device') : null;
    });
    expect(outcome(await bench.drive(finishAttempt(record, context, never)))).toBe('waiting ERR_NOT_PLACED');
    expect(process.gate.calls.filter((call) => call === 'access.consume')).toHaveLength(1);
    expect(await bench.records.load(record.entry.token)).toMatchObject({ unstarted: true, request: null });
  });

  it('that the engine could not place has its access revoked by its accessor, and its note still says unstarted (R6)', async () => {
    const { bench, process, context, record } = await claimed({ queuedMs: 5000, never: true });
    expect(outcome(await bench.drive(finishAttempt(record, context, never)))).toBe('waiting ERR_NOT_PLACED');
    const revoked = [...bench.access.wrappers.values()].filter((wrapper) => wrapper.revoked);
    expect(revoked.map(({ accessor }) => accessor)).toEqual([record.grant.accessor]);
    expect(process.gate.calls.filter((call) => call === 'access.revoke')).toHaveLength(1);
    expect(await bench.records.load(record.entry.token)).toMatchObject({
      unstarted: true,
      request: null,
      grant: { revoked_at: expect.any(String) },
    });
    expect(process.told.at(-1)?.step.state).toBe('revoking');
    bench.engine.behaviours.clear();
    await bench.once();
    expect(bench.result('a')).toMatchObject({
      attempt: { number: 2 },
      attempts: [{ number: 1, outcome: 'timed_out' }],
    });
  });

  it('that the engine could not place waits for the secret store to revoke its access, and only then is the next one due', async () => {
    const { bench, process, context, record } = await claimed({ queuedMs: 5000, never: true });
    const away = () => new TransientError('ERR_ACCESS_UNAVAILABLE', 'it has a fault of its own (503)');
    process.gate.fail('access.revoke', away, { times: 3 });
    expect(outcome(await bench.drive(finishAttempt(record, context, never)))).toBe('waiting ERR_NOT_PLACED');
    const revoking = process.told.filter(({ step }) => step.state === 'revoking').map(({ step }) => step.reason?.code);
    expect(revoking).toEqual([undefined, ...Array.from({ length: 3 }, () => 'ERR_ACCESS_UNAVAILABLE'), undefined]);
    expect(await bench.records.load(record.entry.token)).toMatchObject({
      unstarted: true,
      grant: { revoked_at: expect.any(String) },
    });
  });

  it('that the engine could not place is timed out without an execution where the operator wants it so (R6)', async () => {
    const { bench, context, record } = await claimed({ queuedMs: 5000, never: true }, { placement: 'stop' });
    expect(outcome(await bench.drive(finishAttempt(record, context, never)))).toBe('timed_out');
    expect(bench.result('a')).toMatchObject({
      exit_code: 124,
      reason: { code: 'ERR_NOT_PLACED' },
      attempt: { executions: 0 },
    });
    expect(left(bench)).toEqual([0, 1, 0, 0, 0]);
  });

  it('that the engine calls not started, but whose wrapper is used, is unknown and keeps its slot (R6)', async () => {
    const { bench, context, record } = await claimed({ queuedMs: 5000, never: true });
    for (const wrapper of bench.access.wrappers.values()) wrapper.used = true;
    expect(outcome(await bench.drive(finishAttempt(record, context, never)))).toBe('unknown');
    expect(bench.journal.state.ended.get('a')).toHaveProperty('held_until');
  });

  it('that is proven unstarted is so again when the story is told again from the top', async () => {
    const { bench, context, record } = await claimed({ queuedMs: 5000, never: true });
    await bench.drive(finishAttempt(record, context, never));
    const again = await bench.drive(finishAttempt(await noted(bench, record), context, never));
    expect(outcome(again)).toBe('waiting ERR_NOT_PLACED');
  });

  it('that was sent twice, and whose first copy the engine has forgotten, is unknown and no security event (R6)', async () => {
    const { bench, process, context, record } = await claimed();
    const lost = new TransientError('ERR_ENGINE_UNAVAILABLE', 'no answer');
    let finds = 0;
    process.gate.plan((call, when) => {
      finds += call === 'engine.find' && when === 'before' ? 1 : 0;
      if (call === 'engine.find' && when === 'before' && finds === 2) bench.engine.forgetAll();
      return call === 'engine.dispatch' && when === 'after' && finds === 1 ? lost : null;
    });
    expect(outcome(await bench.drive(finishAttempt(record, context, never)))).toBe('unknown');
    expect(bench.engine.executions).toEqual([record.entry.token]);
    expect(process.log.filter(({ level }) => level === 'error')).toEqual([]);
  });

  it('that is not ours any more has its access revoked where the entry of another does not name it (R4)', async () => {
    const { bench, context, record } = await claimed({ queuedMs: 600_000 });
    const ending = finishAttempt(record, context, never);
    await bench.pass(1000);
    const theirs = { ...record.entry, dispatcher: 'edge-2', instance: 'other', payload_sha256: '0'.repeat(64) };
    bench.journal.change((entries) => entries.set('a', theirs));
    expect(outcome(await bench.drive(ending))).toBe('waiting ERR_CLAIMED_ELSEWHERE');
    expect([...bench.access.wrappers.values()].map(({ revoked }) => revoked)).toEqual([true]);
  });

  it('under whose token stands a foreign run is unknown, told as a security event, and never tried again (R4, R21)', async () => {
    const { bench, process, context, record } = await claimed();
    bench.engine.foreign = true;
    expect(outcome(await bench.drive(finishAttempt(record, context, never)))).toBe('unknown');
    expect([bench.engine.executions, bench.access.loose]).toEqual([[], 0]);
    expect(bench.journal.state.ended.get('a')).toHaveProperty('held_until');
    const errors = process.log.filter(({ level }) => level === 'error').map(({ message, fields }) => [message, fields]);
    expect(errors).toEqual([
      [
        'security event: a run that is not ours stands under the token of this attempt',
        expect.objectContaining({ id: 'a', attempt: 1, code: 'ERR_FOREIGN_RUN' }),
      ],
    ]);
    bench.engine.foreign = false;
    await bench.once();
    expect([bench.recorded('a'), bench.engine.executions]).toEqual([1, []]);
  });

  it('under whose token stands a foreign run is not said to be cancelled, whoever asks for it (R21, R9)', async () => {
    const { bench, context, record } = await claimed();
    bench.engine.foreign = true;
    await bench.control.requestStop('a', { kind: 'cancel', by: 'Jo', message: 'no longer needed' });
    expect(outcome(await bench.drive(finishAttempt(record, context, never)))).toBe('unknown');
  });
});
