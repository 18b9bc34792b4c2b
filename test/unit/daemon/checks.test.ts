import { describe, expect, it } from 'vitest';
import { type CheckedService, createChecks, verdictOf } from '../../../src/daemon/checks.ts';
import type { Check } from '../../../src/domain/check.ts';
import { type Code, TransientError } from '../../../src/errors.ts';
import { StoryBench } from '../../fakes/story-bench.ts';

const never = new AbortController().signal;
const good: Check = { name: 'engine.jobs', ok: true, code: null, message: 'registered', fix: null };
const bad = (code: Code, message = 'it is so'): Check => ({
  name: 'engine.jobs',
  ok: false,
  code,
  message,
  fix: 'Mend it.',
});

/** Answers what it is told to, and counts. */
class Service implements CheckedService {
  readonly name: CheckedService['name'];
  answer: () => readonly Check[] = () => [good];
  asked = 0;

  constructor(name: CheckedService['name']) {
    this.name = name;
  }

  async check(): Promise<readonly Check[]> {
    this.asked += 1;
    return this.answer();
  }
}

function setUp() {
  const bench = new StoryBench();
  const { parts, log } = bench.process();
  const [engine, access] = [new Service('engine'), new Service('access')];
  const checks = createChecks([engine, access], { clock: parts.clock, log: parts.log });
  const stop = new AbortController();
  const keep = () => checks.keep(stop.signal);
  const end = async (kept: Promise<void>) => {
    stop.abort();
    await bench.drive(kept);
  };
  const codes = () => checks.reasons().map(({ code }) => code);
  return { bench, log, engine, access, checks, keep, end, codes };
}

describe('the verdict of a check', () => {
  it.each([
    [good, 'good'],
    [bad('ERR_ENGINE_UNAVAILABLE'), 'away'],
    [bad('ERR_ACCESS_UNAVAILABLE'), 'away'],
    [bad('ERR_CLOCK_SKEW'), 'warning'],
    [bad('ERR_RETENTION'), 'warning'],
    [bad('ERR_JOB_MISSING'), 'problem'],
    [bad('ERR_JOB_DRIFT'), 'problem'],
    [bad('ERR_ENGINE_EXCESS'), 'problem'],
    [bad('ERR_ACCESS_EXCESS'), 'problem'],
    [bad('ERR_ACCESS_DENIED'), 'problem'],
    [bad('ERR_ENGINE_DENIED'), 'problem'],
    [{ ...bad('ERR_JOB_DRIFT'), code: null }, 'problem'],
  ])('of %j is %s: an outage never is a problem (S1.6, R5)', (check, verdict) => {
    expect(verdictOf(check)).toBe(verdict);
  });
});

describe('the checks of a daemon', () => {
  it('hold nothing back while all are good, and are asked again in a minute', async () => {
    const { bench, engine, checks, keep, end } = setUp();
    expect(await checks.ask(never)).toEqual([good, good]);
    const kept = keep();
    await bench.pass(58_000);
    expect([engine.asked, checks.reasons()]).toEqual([1, []]);
    await bench.pass(4_000);
    expect(engine.asked).toBe(2);
    await end(kept);
  });

  it('stop new claims at drift while it runs, and lift by themselves when it is mended (R5)', async () => {
    const { bench, engine, checks, keep, end, codes } = setUp();
    await checks.ask(never);
    const kept = keep();
    engine.answer = () => [good, bad('ERR_JOB_DRIFT', 'restart.attempts: 0 → 3')];
    await bench.pass(310_000);
    expect(checks.reasons()).toEqual([
      { code: 'ERR_JOB_DRIFT', message: 'restart.attempts: 0 → 3', hint: 'Mend it.', by: null },
    ]);
    engine.answer = () => [good];
    await bench.pass(31_000);
    expect(codes()).toEqual([]);
    await end(kept);
  });

  it('wait out a service that is away, with a back-off of at most 30 s and at most a line each 30 s (R20)', async () => {
    const { bench, log, access, engine, checks, keep, end, codes } = setUp();
    access.answer = () => {
      throw new TransientError('ERR_ACCESS_UNAVAILABLE', `try ${access.asked}`);
    };
    await checks.ask(never);
    expect(codes()).toEqual(['ERR_ACCESS_UNAVAILABLE']);
    const kept = keep();
    await bench.pass(120_000);
    const asked = access.asked;
    expect(asked).toBeGreaterThan(8);
    expect(asked).toBeLessThan(30);
    expect(engine.asked).toBeLessThanOrEqual(3);
    expect(checks.backoff().get('access')).toBeGreaterThanOrEqual(15_000);
    expect(checks.backoff().get('access')).toBeLessThanOrEqual(30_000);
    expect(log.filter(({ level }) => level === 'warn').length).toBeLessThanOrEqual(5);
    access.answer = () => [good];
    await bench.pass(31_000);
    expect([codes(), checks.backoff().get('access')]).toEqual([[], 0]);
    expect(log.at(-1)).toMatchObject({ level: 'info', fields: { service: 'access' } });
    await end(kept);
  });

  it('tell of a service that fails in another way each time at most once in 30 s (R20)', async () => {
    const { bench, log, engine, checks, keep, end } = setUp();
    engine.answer = () => [{ ...bad('ERR_ENGINE_UNAVAILABLE'), name: `engine.${engine.asked}` }];
    await checks.ask(never);
    const kept = keep();
    await bench.pass(60_000);
    expect(engine.asked).toBeGreaterThan(5);
    expect(log.filter(({ level }) => level === 'warn').length).toBeLessThanOrEqual(3);
    await end(kept);
  });

  it('warn once, and hold nothing back for it (R24)', async () => {
    const { bench, log, engine, checks, keep, end, codes } = setUp();
    engine.answer = () => [bad('ERR_CLOCK_SKEW', 'the clocks differ by 40 s')];
    await checks.ask(never);
    const kept = keep();
    await bench.pass(700_000);
    expect(codes()).toEqual([]);
    expect(log.map(({ level, message }) => [level, message])).toEqual([['warn', 'a check warns']]);
    await end(kept);
  });

  it('tell that the forge is away, and hold nothing back for it: what asks it waits by itself (R20)', async () => {
    const bench = new StoryBench();
    const { parts, log } = bench.process();
    const forge = { name: 'forge' as const, holdsClaims: false, check: async () => [bad('ERR_FORGE_UNAVAILABLE')] };
    const checks = createChecks([new Service('engine'), forge], { clock: parts.clock, log: parts.log });
    const stop = new AbortController();
    const asked = await checks.ask(stop.signal);
    const kept = checks.keep(stop.signal);
    await bench.pass(1000);
    stop.abort();
    await bench.drive(kept);
    expect([asked, checks.reasons()]).toEqual([[good], []]);
    expect(log.map(({ message, fields }) => [message, fields['service']])).toEqual([
      ['what needs it waits: a check failed', 'forge'],
    ]);
    expect(checks.backoff().get('forge')).toBeGreaterThan(0);
  });

  it('are broken off by our own stop, which is neither an answer nor a mistake (R16)', async () => {
    const { bench, log, engine, checks, codes } = setUp();
    const stop = new AbortController();
    engine.answer = () => [bad('ERR_JOB_MISSING')];
    await checks.ask(never);
    const kept = checks.keep(stop.signal);
    engine.answer = () => {
      stop.abort();
      throw stop.signal.reason;
    };
    await bench.pass(31_000);
    await kept;
    expect(await checks.ask(stop.signal)).toEqual([bad('ERR_JOB_MISSING'), good]);
    expect([engine.asked, codes()]).toEqual([3, ['ERR_JOB_MISSING']]);
    expect(log.filter(({ level }) => level === 'error')).toEqual([]);
  });

  it('keep what was known when a check makes a mistake of its own', async () => {
    const { bench, log, engine, checks, keep, end, codes } = setUp();
    engine.answer = () => [bad('ERR_JOB_MISSING')];
    await checks.ask(never);
    engine.answer = () => {
      throw new Error('a bug');
    };
    const kept = keep();
    await bench.pass(31_000);
    expect(codes()).toEqual(['ERR_JOB_MISSING']);
    expect(log.at(-1)).toMatchObject({ level: 'error', message: 'a check broke off' });
    await end(kept);
    await expect(checks.ask(never)).rejects.toThrow('a bug');
  });
});
