import { describe, expect, it } from 'vitest';
import { decodePayload } from '../../../src/domain/payload.ts';
import { TransientError } from '../../../src/errors.ts';
import type { Engine, Place } from '../../../src/ports/engine.ts';
import type { StoryContext } from '../../../src/story/context.ts';
import { earlierOf, grantAccess } from '../../../src/story/grant-access.ts';
import { judgeAction, type Ready, startAttempt } from '../../../src/story/run-action.ts';
import { NOBODY, type Process, StoryBench } from '../../fakes/story-bench.ts';

async function setUp(fields: Record<string, unknown> = {}, formula: Record<string, unknown> = {}) {
  const bench = new StoryBench();
  for (const name of ['ALPHA', 'BETA']) bench.access.secrets.set(name, 'present');
  bench.addFormula('tidy', { secrets: ['ALPHA', 'BETA', 'GAMMA'], ...formula });
  bench.addAction('a', fields);
  return { bench, ...(await readyOn(bench.process())) };
}

async function readyOn(process: Process): Promise<{ process: Process; context: StoryContext; ready: Ready }> {
  const context = await process.context();
  const candidate = [...context.world().candidates.values()][0];
  if (candidate === undefined) throw new Error('nothing is pending');
  const ready = await judgeAction(candidate, context);
  if (ready.kind !== 'ready') throw new Error('it may not run');
  return { process, context, ready };
}

const grant = async ({ ready, context }: { ready: Ready; context: StoryContext }) =>
  grantAccess(ready.read, ready.approval, await earlierOf('a', context), context);

describe('grantAccess', () => {
  it.each([[[]], [['ALPHA']], [['ALPHA', 'BETA']]])('mints exactly the named secrets %j (S1.1)', async (secrets) => {
    const { bench, context, ready } = await setUp({ secrets, mounts: [], inputs: {} });
    const record = await grant({ ready, context });
    expect([...bench.access.wrappers.values()].map(({ request }) => request)).toEqual([
      {
        id: 'a',
        attempt: 1,
        token: record.entry.token,
        blobs: { action: record.entry.blob, formula: record.entry.formula_blob },
        secrets,
        wrapSeconds: 720,
      },
    ]);
    expect(record.grant.policies).toEqual(['edge-run', ...secrets.map((name) => `runner-${name}`)]);
    expect(record.request?.meta).toEqual({
      action_id: 'a',
      attempt: '1',
      formula: 'tidy',
      mounts: '',
      secrets_csv: secrets.join(','),
    });
  });

  it('notes the attempt on this host, whole, before anything is claimed', async () => {
    const { bench, context, ready } = await setUp({ secrets: ['ALPHA'] });
    const record = await grant({ ready, context });
    expect(await bench.records.load(record.entry.token)).toEqual(record);
    expect(record).toMatchObject({
      claimed: false,
      unstarted: false,
      dispatched_at: null,
      attempts: [],
      entry: {
        id: 'a',
        attempt: 1,
        dispatcher: 'edge-1',
        state: 'claimed',
        engine: 'dummy',
        timeout_seconds: 3600,
        accessors: ['accessor-1'],
      },
    });
    expect(bench.journal.state.entries.size).toBe(0);
  });

  it('puts the approved bytes themselves into the payload, and the wrapper nowhere else (R14)', async () => {
    const { bench, context, ready } = await setUp({ secrets: ['ALPHA'] });
    const record = await grant({ ready, context });
    const payload = decodePayload(Buffer.from(record.request?.payload ?? '', 'base64'));
    expect(Buffer.from(payload.action, 'base64').toString()).toBe(bench.repo.textAt('vault/actions/a.toml'));
    expect(Buffer.from(payload.formula, 'base64').toString()).toBe(bench.repo.textAt('vault/formulas/tidy.toml'));
    expect(payload).toMatchObject({
      id: 'a',
      token: record.entry.token,
      trailer_key: record.trailer_key,
      timeout_seconds: 3600,
      agent: [],
    });
    const { request: _, ...rest } = record;
    expect(JSON.stringify(rest)).not.toContain(payload.access.wrapping_token);
  });

  it('gives the agent’s command to prompt formulas only', async () => {
    const { bench } = await setUp();
    bench.repo.commitFiles({ 'vault/formulas/tidy.toml': 'name = "tidy"\ndescription = "x"\nprompt = "do it"\n' });
    const record = await grant(await readyOn(bench.process()));
    expect(decodePayload(Buffer.from(record.request?.payload ?? '', 'base64')).agent).toEqual(['agent', '-p']);
  });

  it('mints nothing for a secret that is not there, and refuses by its name (R7, S1.2)', async () => {
    const { bench } = await setUp({ secrets: ['ALPHA', 'GAMMA'] });
    await bench.once();
    expect(bench.result('a')).toMatchObject({
      outcome: 'refused',
      reason: { code: 'ERR_SECRET_UNKNOWN', message: 'not in the secret store: GAMMA' },
    });
    expect([bench.access.wrappers.size, bench.records.files.size, bench.engine.known]).toEqual([0, 0, 0]);
  });

  it('waits for a person where the store denies a secret, and mints nothing', async () => {
    const { bench } = await setUp({ secrets: ['ALPHA'] });
    bench.access.secrets.set('ALPHA', 'denied');
    const { report } = await bench.once();
    expect(report.waiting).toMatchObject([{ reason: { code: 'ERR_ACCESS_DENIED' } }]);
    expect([bench.result('a'), bench.access.wrappers.size]).toEqual([null, 0]);
  });

  it('revokes what is more than what was asked, and dispatches nothing', async () => {
    const { bench } = await setUp({ secrets: ['ALPHA'] });
    bench.access.mintsTooMuch = true;
    const { report } = await bench.once();
    expect(report.waiting).toMatchObject([{ reason: { code: 'ERR_ACCESS_DENIED' } }]);
    expect([bench.access.wrappers.size, bench.access.loose, bench.engine.known]).toEqual([1, 0, 0]);
    expect(bench.records.files.size).toBe(0);
  });

  it('tells what was wrong with a grant also when it can not be revoked', async () => {
    const { bench, process, context, ready } = await setUp({ secrets: ['ALPHA'] });
    bench.access.mintsTooMuch = true;
    process.gate.fail('access.revoke', () => new TransientError('ERR_ACCESS_UNAVAILABLE', 'away'));
    expect(await startAttempt(ready, context)).toMatchObject({
      kind: 'waiting',
      reason: { code: 'ERR_ACCESS_DENIED', message: 'the grant: it is more than what was asked' },
    });
    expect([bench.records.files.size, bench.journal.state.entries.size]).toEqual([0, 0]);
    expect(process.log).toEqual([
      {
        level: 'warn',
        message: 'a grant that was not used lives on until its end',
        fields: { id: 'a', err: expect.objectContaining({ code: 'ERR_ACCESS_UNAVAILABLE' }) },
      },
    ]);
  });

  it('mints and claims nothing while its job is not there, and starts when it is', async () => {
    const { bench, process, context, ready } = await setUp({ secrets: ['ALPHA'] }, { job: 'release' });
    bench.engine.missing.add('release');
    process.gate.calls.length = 0;
    expect(await startAttempt(ready, context)).toMatchObject({ kind: 'waiting', reason: { code: 'ERR_JOB_MISSING' } });
    expect(process.gate.calls.filter((call) => /^(access|journal)\.|^records\.save/.test(call))).toEqual([]);
    expect([bench.access.wrappers.size, bench.records.files.size, bench.journal.state.entries.size]).toEqual([0, 0, 0]);
    bench.engine.missing.clear();
    const started = await startAttempt(ready, context);
    expect('entry' in started && started).toMatchObject({ claimed: true, request: { job: 'release' } });
    expect(bench.access.wrappers.size).toBe(1);
  });

  it('asks for the mounts of the action, with the job of its formula, whether they are to be had', async () => {
    const { context, ready } = await setUp({ mounts: ['ssh'] }, { mounts: ['gpg', 'ssh'], job: 'release' });
    const asked: Place[] = [];
    const engine: Engine = Object.assign(Object.create(context.engine), {
      ready: async (place: Place) => void asked.push(place),
    });
    await startAttempt(ready, { ...context, engine });
    expect(asked).toEqual([{ job: 'release', mounts: ['ssh'] }]);
  });

  it('ships no formula of an earlier try: its note is dropped, and the next try has the new one (R22)', async () => {
    const { bench, process, context, ready } = await setUp({ secrets: ['ALPHA'] }, { command: ['old'] });
    process.gate.fail('journal.claim', () => new TransientError('ERR_GIT_UNAVAILABLE', 'away'));
    expect(await startAttempt(ready, context)).toMatchObject({ reason: { code: 'ERR_GIT_UNAVAILABLE' } });
    expect(bench.records.files.size).toBe(1);
    bench.addFormula('tidy', { secrets: ['ALPHA'], command: ['new'] });
    const next = await readyOn(process);
    expect(await startAttempt(next.ready, next.context)).toMatchObject({
      kind: 'waiting',
      reason: { code: 'ERR_FORMULA_CHANGED' },
    });
    expect([bench.records.files.size, bench.access.loose, bench.journal.state.entries.size]).toEqual([0, 0, 0]);
    const last = await readyOn(process);
    const started = await startAttempt(last.ready, last.context);
    expect('entry' in started && started.claimed).toBe(true);
    const record = (await bench.records.all())[0];
    const { formula } = decodePayload(Buffer.from(record?.request?.payload ?? '', 'base64'));
    expect(Buffer.from(formula, 'base64').toString()).toBe(bench.repo.textAt('vault/formulas/tidy.toml'));
    expect(record?.entry.formula_blob).toBe(last.ready.read.formula.blob);
  });

  it('finds a payload that is too large before anything is minted', async () => {
    const { bench } = await setUp();
    const noise = Array.from({ length: 900 }, () => bench.clock.key()).join('\n');
    bench.addFormula('large', { env: { NOISE: noise.slice(0, 40_000) } });
    bench.addAction('large', { formula: 'large' });
    await bench.once();
    expect(bench.result('large')).toMatchObject({ outcome: 'invalid', reason: { code: 'ERR_PAYLOAD_SIZE' } });
    expect([...bench.access.wrappers.values()].map(({ request }) => request.id)).toEqual(['a']);
  });

  it('uses the unclaimed note of this start again instead of minting twice', async () => {
    const { bench, context, ready } = await setUp();
    const first = await grant({ ready, context });
    expect(await grant({ ready, context })).toEqual(first);
    expect(bench.access.wrappers.size).toBe(1);
  });

  it('mints anew where the note is of an earlier start, or its time runs out', async () => {
    const { bench, context, ready } = await setUp();
    await grant({ ready, context });
    const next = await readyOn(bench.process());
    await grant(next);
    expect(bench.access.wrappers.size).toBe(2);
    bench.clock.advance(121_000);
    await grant(next);
    expect(bench.access.wrappers.size).toBe(3);
  });

  it('never uses a note whose grant it revoked, also when the answer of the disk was lost (E2)', async () => {
    const { bench, process, context, ready } = await setUp();
    process.gate.fail('records.save', () => new TransientError('ERR_STORE_UNAVAILABLE', 'lost'), { when: 'after' });
    await expect(grant({ ready, context })).rejects.toThrow('lost');
    expect(bench.access.loose).toBe(0);
    await grant({ ready, context });
    expect([bench.access.wrappers.size, bench.access.loose]).toEqual([2, 1]);
  });

  it('never uses a note whose grant it revoked, also when the note could not be removed (E2)', async () => {
    const { bench, process, context, ready } = await setUp();
    process.gate.fail('records.remove', () => new TransientError('ERR_STORE_UNAVAILABLE', 'away'));
    // The bytes at the tip change between judging and claiming.
    let isGone = false;
    const world = () => ({ ...context.world(), candidates: isGone ? new Map() : context.world().candidates });
    const judged = await judgeAction(ready.read.candidate, { ...context, world });
    if (judged.kind !== 'ready') throw new Error('it may not run');
    isGone = true;
    expect(await startAttempt(judged, context)).toMatchObject({ kind: 'waiting' });
    isGone = false;
    const started = await startAttempt(judged, context);
    expect('entry' in started && started.claimed).toBe(true);
    expect(bench.access.loose).toBe(1);
  });
});

describe('claimAttempt', () => {
  const other = (change: Record<string, unknown>) => async () => {
    const { bench, context, ready } = await setUp({}, { concurrency: 'one' });
    const record = await grant({ ready, context });
    bench.journal.change((entries) => {
      const entry = { ...record.entry, dispatcher: 'edge-2', instance: 'x', token: '0'.repeat(32), ...change };
      entries.set(entry.id, entry);
    });
    return { bench, answer: await startAttempt(ready, context) };
  };

  it.each([
    ['claimed elsewhere', other({}), 'ERR_CLAIMED_ELSEWHERE'],
    ['in a group that is full', other({ id: 'b' }), 'ERR_GROUP'],
    ['fenced', other({ id: 'b', group: null, dispatcher: 'edge-1' }), 'ERR_FENCED'],
  ])('goes back to waiting where it is %s, and leaves neither note nor token', async (_, arrange, code) => {
    const { bench, answer } = await arrange();
    expect(answer).toMatchObject({ kind: 'waiting', reason: { code } });
    expect([bench.records.files.size, bench.access.loose, bench.journal.state.entries.size]).toEqual([0, 0, 1]);
  });

  it('is won again when the answer was lost (R11)', async () => {
    const { bench, process, context, ready } = await setUp();
    process.gate.fail('journal.claim', () => new TransientError('ERR_GIT_UNAVAILABLE', 'lost'), { when: 'after' });
    expect(await startAttempt(ready, context)).toMatchObject({
      kind: 'waiting',
      reason: { code: 'ERR_GIT_UNAVAILABLE' },
    });
    expect(bench.journal.state.entries.size).toBe(1);
    const again = await startAttempt(ready, context);
    expect('entry' in again && again).toMatchObject({ claimed: true, entry: { attempt: 1 } });
    expect(bench.access.wrappers.size).toBe(1);
  });

  it('notes whose approval counts when the claim is made, not when it was judged (R22)', async () => {
    const bench = new StoryBench();
    bench.addAction('a');
    let by = 'ann';
    const evaluate = async () => {
      const more = { rule: 'jo', what: 'review', commit: 'c'.repeat(40), at: '2026-03-31T12:00:00Z' };
      return { kind: 'met' as const, evidence: [{ ...more, by, person: null, formulaBlob: null }] };
    };
    bench.rules.set('jo', { name: 'jo', countsPeople: false, evaluate });
    const needed = { ...NOBODY, all: ['jo'] };
    const settings = { requirements: { low: needed, medium: needed, high: needed } };
    const { context, ready } = await readyOn(bench.process({ settings }));
    by = 'bob';
    expect(await startAttempt(ready, context)).toMatchObject({ approval: { evidence: [{ by: 'bob' }] } });
    expect((await bench.records.all()).map(({ approval }) => approval?.evidence)).toMatchObject([[{ by: 'bob' }]]);
  });

  it('keeps the note of what is under way when the journal has lost the entry (R4)', async () => {
    const { bench, context, ready } = await setUp();
    const first = await startAttempt(ready, context);
    bench.journal.deleteAll();
    const again = await startAttempt(ready, context);
    expect(again).toEqual(first);
    expect([bench.access.wrappers.size, bench.journal.state.entries.size]).toEqual([1, 1]);
    bench.journal.change((entries) => {
      for (const [id, entry] of entries) entries.set(id, { ...entry, dispatcher: 'edge-2', instance: 'x' });
    });
    expect(await startAttempt(ready, context)).toMatchObject({
      kind: 'waiting',
      reason: { code: 'ERR_CLAIMED_ELSEWHERE' },
    });
    expect([bench.records.files.size, bench.access.loose]).toEqual([1, 1]);
  });
});
