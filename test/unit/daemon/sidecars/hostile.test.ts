import { describe, expect, it } from 'vitest';
import { encodeResult, type Result } from '../../../../src/domain/result.ts';
import { type EdgeError, StalledError, TransientError } from '../../../../src/errors.ts';
import { MemoryIssues } from '../../../fakes/memory-issues.ts';
import { PROJECT, SidecarBench, sidecarRule } from '../../../fakes/sidecar-bench.ts';
import type { Process } from '../../../fakes/story-bench.ts';

/*
 * What strangers, whoever may push, and a forge that is half away can do to the runs on issues.
 */

const ID = 'sidecar/reproduce-1-1';
const HOUR = 3_600_000;
const never = new AbortController().signal;
const away = (): EdgeError => new TransientError('ERR_FORGE_UNAVAILABLE', 'it is away');

function reported(count = 1): SidecarBench {
  const bench = new SidecarBench();
  for (let made = 0; made < count; made += 1)
    bench.issues.forge.open('dev', { title: 'it crashes', labels: ['bug-report'] });
  return bench;
}

/** Ids of what was recorded, in their order. */
const runsOf = (bench: SidecarBench): readonly string[] =>
  bench.repo.subjects.flatMap((subject) => /^(sidecar\/\S+): /.exec(subject)?.[1] ?? []);

/** Lets a daemon run for so long, doing `work` meanwhile. */
async function running(
  bench: SidecarBench,
  work: (process: Process) => Promise<void>,
  options: Parameters<SidecarBench['process']>[0] = {},
): Promise<Process> {
  const stop = new AbortController();
  const process = bench.process(options);
  const over = process.daemon.run(stop.signal);
  await work(process);
  stop.abort();
  await bench.drive(over);
  return process;
}

async function recorded(bench: SidecarBench): Promise<Result> {
  await bench.once();
  const result = bench.result(ID);
  if (result === null) throw new Error('nothing was recorded');
  return result;
}

describe('whoever may push', () => {
  it.each<readonly [string, (bench: SidecarBench) => void]>([
    [
      'a result of the last number there can be, and takes it back',
      ({ repo }) => {
        repo.commitFiles({ 'vault/sidecars/reproduce-1-999999.result.json': '{}' });
        repo.commitFiles({ 'vault/sidecars/reproduce-1-999999.result.json': null });
      },
    ],
    [
      'such a tombstone',
      ({ journal }) => {
        const id = 'sidecar/reproduce-1-999999';
        journal.change((_, ended) => ended.set(id, { id, token: 'a'.repeat(32), ended_at: '2020-01-01T00:00:00Z' }));
      },
    ],
    [
      'an issue whose number is too long for an id',
      ({ issues }) => void Object.assign(issues.forge.issue(1), { number: 1_000_000_000 }),
    ],
  ])('writes %s: everything goes on', async (_, plant) => {
    const bench = reported(2);
    plant(bench);
    bench.addAction('a');
    const { log } = await running(bench, () => bench.pass(60_000));
    expect(bench.recorded('a')).toBe(1);
    expect(runsOf(bench)).toContain('sidecar/reproduce-2-1');
    expect(log.filter(({ level }) => level === 'error')).toEqual([]);
  });

  it.each([
    ['of a later number', 'vault/sidecars/reproduce-1-5.result.json'],
    ['of its own number', 'vault/sidecars/reproduce-1-1.result.json'],
  ])('plants a result %s while a run is being started: at most one run of the issue lives (S2.3)', async (_, path) => {
    const bench = reported();
    for (const n of [1, 2, 6]) bench.engine.behaviours.set(`sidecar/reproduce-1-${n}`, { runMs: 300_000 });
    const granted = bench.clock.now().getTime() + 20_000;
    await running(bench, async ({ gate }) => {
      gate.slow('access.grant', () => bench.clock.sleep(granted - bench.clock.now().getTime()));
      await bench.pass(6000);
      bench.repo.commitFiles({ [path]: '{}' });
      await bench.pass(120_000);
    });
    expect(bench.engine.mostLiving).toBe(1);
    expect(bench.engine.executions).toHaveLength(1);
  });

  it('plants a result that is of another run: it makes no comment of ours, and counts for nothing', async () => {
    const bench = reported();
    bench.issues.forge.open('dev', { title: 'another issue' });
    bench.sidecarRules = [sidecarRule('reproduce', { comment: true })];
    const result = await recorded(bench);
    const told = bench.issues.forge.comments.length;
    const reason = { code: 'x)\n\n@everyone [click](https://evil.example)', message: '', hint: null, by: null };
    const forged = encodeResult({ ...result, id: 'sidecar/reproduce-2-1', reason }).toString();
    bench.repo.commitFiles({ 'vault/sidecars/reproduce-1-1.result.json': forged });
    await running(bench, () => bench.pass(30_000));
    expect(bench.issues.forge.comments).toHaveLength(told);
  });

  it('deletes a result: the issue is not worked on again before somebody changes it', async () => {
    const bench = reported();
    await bench.once();
    bench.repo.commitFiles({ 'vault/sidecars/reproduce-1-1.result.json': null });
    await bench.pass(24 * HOUR);
    expect((await bench.once()).report.results).toEqual([]);
    bench.issues.forge.comment('dev', 1, 'look again');
    expect((await bench.once()).report.results).toMatchObject([{ id: 'sidecar/reproduce-1-2' }]);
  });

  it('dates an end into the future: the issue rests no longer for it', async () => {
    const bench = reported();
    await bench.once();
    bench.journal.change((_, ended) => {
      for (const [id, tombstone] of ended) ended.set(id, { ...tombstone, ended_at: '2030-01-01T00:00:00Z' });
    });
    bench.issues.forge.comment('dev', 1, 'look again');
    await bench.pass(24 * HOUR);
    expect((await bench.once()).report.results).toHaveLength(1);
  });

  it('edits the project file while a run is being started: it begins with what is in force then (R22)', async () => {
    const bench = reported();
    await running(bench, async ({ gate }) => {
      gate.slow('access.grant', () => bench.clock.sleep(20_000));
      await bench.pass(6000);
      bench.repo.commitFiles({ [PROJECT]: 'name = "safer"\n' });
      await bench.pass(120_000);
    });
    const inForce = await bench.repo.entryAt(bench.repo.tip, PROJECT);
    expect(bench.result(ID)?.action.blob).toBe(inForce?.oid);
  });
});

describe('a rule', () => {
  it('has its runs_per_day also where more would begin at once', async () => {
    const bench = reported(5);
    bench.sidecarRules = [sidecarRule('reproduce', { runs_per_day: 1, in_flight: 5 })];
    await bench.once({ loop: { inFlight: 10 } });
    expect(bench.engine.executions).toHaveLength(1);
  });

  it('is worked off by a single cycle, however many issues there are', async () => {
    const bench = reported(60);
    bench.sidecarRules = [sidecarRule('reproduce', { in_flight: 100, runs_per_day: 100 })];
    const { report } = await bench.once({ loop: { inFlight: 100 } });
    expect([report.results.length, report.waiting]).toEqual([60, []]);
  });
});

describe('a run that is not repeated', () => {
  it('is one of which this host lost its note: the journal has what its issue was (promise 3)', async () => {
    const bench = reported();
    bench.engine.behaviours.set(ID, { runMs: HOUR });
    const { daemon, gate } = bench.process();
    void daemon.once(never);
    await bench.pass(5000);
    gate.kill();
    bench.engine.forgetAll();
    bench.records.files.clear();
    await bench.once();
    expect(bench.result(ID)).toMatchObject({ outcome: 'unknown', action: { path: PROJECT }, sidecar: { issue: 1 } });
    await bench.pass(3 * HOUR);
    expect((await bench.once()).report.results).toEqual([]);
  });

  it('is one that was granted before the issue changed, and claimed after it', async () => {
    const bench = reported();
    await running(bench, async ({ gate }) => {
      const failed = () => gate.calls.filter((call) => call === 'journal.claim').length;
      gate.fail('journal.claim', () => new TransientError('ERR_GIT_UNAVAILABLE', 'away'), { times: 7 });
      while (failed() < 7) await bench.pass(10);
      bench.issues.forge.edit('dev', 1, { title: 'it crashes on Tuesdays' });
      await bench.pass(3 * HOUR);
    });
    expect(bench.engine.executions).toHaveLength(1);
  });
});

describe('a change', () => {
  it('that came between two polls is seen, though another issue was read by itself meanwhile', async () => {
    const bench = reported();
    bench.issues.forge.open('dev', { title: 'other' });
    bench.issues.forge.open('dev', { title: 'third', labels: ['bug-report'] });
    bench.addAction('a');
    for (const id of [ID, 'a']) bench.engine.behaviours.set(id, { runMs: 90_000 });
    const options = { loop: { inFlight: 2, pollSeconds: 60 } };
    await running(
      bench,
      async () => {
        await bench.pass(70_000);
        bench.issues.forge.label('dev', 2, 'bug-report');
        await bench.pass(5_000);
        bench.issues.forge.comment('reader', 3, 'me too');
        await bench.pass(HOUR);
      },
      options,
    );
    expect(runsOf(bench).toSorted()).toEqual([1, 2, 3].map((issue) => `sidecar/reproduce-${issue}-1`));
  });

  it('that the forge dates into the future hides none that come after it', async () => {
    const bench = reported();
    bench.issues.forge.open('dev', { title: 'other' });
    Object.assign(bench.issues.forge.issue(2), { updatedAt: '2099-01-01T00:00:00Z' });
    await running(bench, async () => {
      await bench.pass(60_000);
      bench.issues.forge.open('dev', { title: 'new', labels: ['bug-report'] });
      await bench.pass(60_000);
    });
    expect(runsOf(bench)).toEqual([ID, 'sidecar/reproduce-3-1']);
  });

  it('of a part is seen before a verification begins', async () => {
    const bench = new SidecarBench();
    bench.issues.forge.open('dev', { title: 'x', labels: ['bug-report', 'in-progress'] });
    bench.issues.forge.open('dev', { title: 'p', body: 'Decomposed from #1' });
    bench.issues.forge.close('dev', 2);
    const { daemon, gate } = bench.process();
    gate.slow('access.grant', async () => {
      await bench.clock.sleep(2000);
      if (bench.issues.forge.issue(2).state === 'closed') bench.issues.forge.reopen('dev', 2);
    });
    await bench.drive(daemon.once(never));
    expect(bench.engine.executions).toEqual([]);
  });
});

describe('a forge that is half away', () => {
  it('and can not answer for one issue holds up no other, and says so once', async () => {
    const bench = reported(3);
    bench.issues.forge.comment('reader', 1, 'x');
    const comments = bench.issues.comments.bind(bench.issues);
    bench.issues.comments = (number) => (number === 1 ? Promise.reject(away()) : comments(number));
    const { log } = await running(bench, () => bench.pass(HOUR));
    expect(runsOf(bench)).toEqual(['sidecar/reproduce-2-1', 'sidecar/reproduce-3-1']);
    expect(log.filter(({ fields }) => fields['issue'] === 1)).toHaveLength(1);
  });

  it('and denies one repository is asked for the others as often as ever', async () => {
    const bench = reported();
    const denied = new MemoryIssues({ repo: 'ops/private', now: () => bench.clock.now().getTime() });
    denied.failure = new StalledError('ERR_FORGE_DENIED', 'no');
    const rules = [sidecarRule('reproduce'), sidecarRule('triage', { repo: 'ops/private' })];
    const trackers = new Map<string, MemoryIssues>([
      ['ops/code', bench.issues],
      ['ops/private', denied],
    ]);
    await running(bench, () => bench.pass(HOUR), { sidecars: { rules, trackers, bots: [] } });
    expect(bench.issues.calls.filter((call) => call.startsWith('changedSince')).length).toBeGreaterThan(600);
  });

  it('and names a time is left alone for all of them', async () => {
    const bench = reported();
    bench.issues.failure = new TransientError('ERR_FORGE_UNAVAILABLE', 'limit', { retryAfterMs: 600_000 });
    const other = new MemoryIssues({ repo: 'ops/private', now: () => bench.clock.now().getTime() });
    other.failure = new StalledError('ERR_FORGE_DENIED', 'no');
    const rules = [sidecarRule('reproduce'), sidecarRule('triage', { repo: 'ops/private' })];
    const trackers = new Map<string, MemoryIssues>([
      ['ops/code', bench.issues],
      ['ops/private', other],
    ]);
    await running(bench, () => bench.pass(590_000), { sidecars: { rules, trackers, bots: [] } });
    expect([bench.issues.calls.length, other.calls.length]).toEqual([1, 1]);
  });

  it('and lists an issue that it then does not have mints few tokens for it', async () => {
    const bench = reported();
    bench.issues.issue = () => Promise.resolve(null);
    await running(bench, () => bench.pass(HOUR));
    expect(bench.access.wrappers.size).toBeLessThan(20);
  });

  it('and takes no comment on one issue takes those on others', async () => {
    const bench = reported(2);
    bench.sidecarRules = [sidecarRule('reproduce', { comment: true })];
    const comment = bench.issues.comment.bind(bench.issues);
    bench.issues.comment = (number, marker, body) =>
      number === 1 ? Promise.reject(away()) : comment(number, marker, body);
    await running(bench, () => bench.pass(HOUR));
    expect(bench.issues.forge.comments.map(({ number }) => number)).toEqual([2]);
  });

  it('while a single cycle looks is told, and so is git', async () => {
    const bench = reported();
    const { daemon, gate } = bench.process();
    const setters = bench.issues.labelledBy.bind(bench.issues);
    let isPolled = false;
    bench.issues.labelledBy = (number) => {
      isPolled = true;
      return setters(number);
    };
    gate.plan((call, when) =>
      isPolled && when === 'before' && call === 'opsRepo.read'
        ? new TransientError('ERR_GIT_UNAVAILABLE', 'away')
        : null,
    );
    const report = await bench.drive(daemon.once(never));
    expect(report.unreachable.map(({ code }) => code)).toContain('ERR_GIT_UNAVAILABLE');
  });

  it('and hangs while a single cycle looks lets it be stopped', async () => {
    const bench = reported();
    bench.issues.changedSince = (_since: string | null, signal?: AbortSignal) =>
      new Promise((_, reject) => signal?.addEventListener('abort', () => reject(new Error('aborted'))));
    const stop = new AbortController();
    const over = bench.process().daemon.once(stop.signal);
    await bench.pass(1000);
    stop.abort();
    expect((await bench.drive(over)).results).toEqual([]);
  });
});
