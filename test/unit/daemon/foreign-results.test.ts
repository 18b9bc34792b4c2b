import { beforeEach, describe, expect, it } from 'vitest';
import { createDaemon } from '../../../src/daemon/daemon.ts';
import { createMetrics } from '../../../src/daemon/http/metrics.ts';
import type { Oid } from '../../../src/domain/ids.ts';
import { encodeResult, type Result } from '../../../src/domain/result.ts';
import { TransientError } from '../../../src/errors.ts';
import { createOwnResults } from '../../../src/story/own-results.ts';
import { sampleResult } from '../../fakes/cli-samples.ts';
import { type Process, StoryBench } from '../../fakes/story-bench.ts';

const LOOP = { pollSeconds: 5, inFlight: 4, dispatchesPerMinute: 600 };
const resultKeys = [{ principal: 'edge-1', key: 'ours' }];
const pathOf = (id: string) => `vault/actions/${id}.result.json`;

let bench: StoryBench;
/** Why signatures can't be checked at this moment. */
let away: Error | null;

beforeEach(() => {
  bench = new StoryBench();
  away = null;
  // Results that the story publishes are the only commits with such a subject.
  bench.repo.verifySignature = async (commit?: Oid) => {
    if (away !== null) throw away;
    const { subject } = await bench.repo.commit(commit as Oid);
    const isOurs = /^[a-z]+: (?:succeeded|failed|refused)/.test(subject);
    return isOurs ? { kind: 'good', principal: 'edge-1', fingerprint: 'SHA256:ours' } : { kind: 'unsigned' };
  };
});

function forge(id: string, changes: Partial<Result> = {}): Oid {
  const content = encodeResult(sampleResult(id, { attempt: null, ...changes })).toString('utf8');
  return bench.repo.commitFiles({ [pathOf(id)]: content });
}

const events = ({ log }: Process) =>
  log
    .filter(({ message }) => message.startsWith('security event'))
    .map(({ fields }) => [fields['id'], fields['commit']]);

describe('with a signing key (R1)', () => {
  it('a result that the dispatcher did not sign starts nothing that depends on it, and one that it did sign does', async () => {
    bench.addAction('real');
    bench.addAction('forged');
    const forged = forge('forged');
    bench.addAction('after', { depends_on: ['real'] });
    bench.addAction('victim', { depends_on: ['forged', 'real'] });
    const first = await bench.once({ resultKeys });
    expect(first.report.waiting).toMatchObject([
      { id: 'victim', reason: { code: 'ERR_FOREIGN_RESULT', message: expect.stringContaining(forged.slice(0, 12)) } },
    ]);
    expect([bench.result('after')?.outcome, bench.result('victim')]).toEqual(['succeeded', null]);
    expect(bench.engine.executions).toHaveLength(2);
    expect(events(first)).toEqual([['forged', forged]]);
  });

  it('nobody waits for a signature where no key is configured', async () => {
    bench.addAction('unsigned');
    forge('unsigned');
    bench.addAction('after', { depends_on: ['unsigned'] });
    await bench.once();
    expect(bench.result('after')?.outcome).toBe('succeeded');
  });

  it('an outage while it is found out is no verdict: the dependant waits and then runs (R4)', async () => {
    bench.addAction('real');
    await bench.once({ resultKeys });
    bench.addAction('after', { depends_on: ['real'] });
    away = new TransientError('ERR_GIT_UNAVAILABLE', 'ssh-keygen could not be run');
    const first = await bench.once({ resultKeys });
    expect(first.report.waiting).toMatchObject([{ id: 'after', reason: { code: 'ERR_GIT_UNAVAILABLE' } }]);
    away = null;
    await bench.once({ resultKeys });
    expect(bench.result('after')?.outcome).toBe('succeeded');
  });

  it('a running daemon reports a foreign result once, holds its action, and runs it never', async () => {
    bench.addAction('real');
    bench.addAction('early');
    forge('early');
    const stop = new AbortController();
    const process = bench.process({ resultKeys });
    const metrics = createMetrics({ version: '1', engine: 'dummy', access: 'memory' }, bench.clock, false);
    const { watcher } = process;
    // The process of the bench listens to its own already.
    const deps = { opsRepo: bench.repo, keys: resultKeys, trustedCommit: null, folders: ['vault/actions'] };
    const parts = { ...process.parts, ownResults: createOwnResults(deps) };
    const daemon = createDaemon(metrics.observe({ parts, watcher, settings: LOOP }));
    const running = daemon.run(stop.signal);
    await bench.pass(20_000);
    bench.addAction('later', { not_before: '2126-04-01T00:00:00Z' });
    await bench.pass(20_000);
    forge('later');
    forge('nothing');
    await bench.pass(60_000);
    const told = daemon.board.lines().map(({ id, state, reason }) => `${id} ${state} ${reason?.code}`);
    expect(told.toSorted()).toEqual(['early pending ERR_FOREIGN_RESULT', 'later pending ERR_FOREIGN_RESULT']);
    expect(events(process).map(([id]) => id)).toEqual(['early', 'later', 'nothing']);
    const seen = { board: daemon.board, figures: () => daemon.figures(), unready: () => [], backoff: () => new Map() };
    expect(await metrics.text(seen)).toContain('security_events_total{code="ERR_FOREIGN_RESULT"} 3\n');
    expect(bench.recorded('early') + bench.recorded('later')).toBe(0);
    bench.repo.commitFiles({ 'vault/actions/early.toml': null });
    await bench.pass(10_000);
    expect(daemon.board.lines().map(({ id }) => id)).toEqual(['later']);
    stop.abort();
    await bench.drive(running);
  });

  it('one that is rewritten after us is foreign from then on', async () => {
    bench.addAction('real');
    const stop = new AbortController();
    const process = bench.process({ resultKeys });
    const running = process.daemon.run(stop.signal);
    await bench.pass(20_000);
    expect(events(process)).toEqual([]);
    const forged = forge('real');
    await bench.pass(20_000);
    expect(events(process)).toEqual([['real', forged]]);
    stop.abort();
    await bench.drive(running);
  });

  it('what could not be judged during an outage is reported after it', async () => {
    const stop = new AbortController();
    const process = bench.process({ resultKeys });
    const running = process.daemon.run(stop.signal);
    await bench.pass(10_000);
    away = new TransientError('ERR_GIT_UNAVAILABLE', 'it is away');
    const forged = forge('nothing');
    await bench.pass(20_000);
    expect(events(process)).toEqual([]);
    away = null;
    await bench.pass(20_000);
    expect(events(process)).toEqual([['nothing', forged]]);
    stop.abort();
    await bench.drive(running);
  });
});

describe('an attempt whose result somebody else writes meanwhile', () => {
  it('goes on after a restart, ends in a conflict, and nothing of its access is left (R11)', async () => {
    bench.engine.behaviours.set('real', { runMs: 60_000 });
    bench.addAction('real');
    const stop = new AbortController();
    const first = bench.process({ resultKeys });
    const running = first.daemon.run(stop.signal);
    await bench.pass(10_000);
    const token = bench.journal.state.entries.get('real')?.token ?? '';
    stop.abort();
    await bench.drive(running);
    // With the token of the very attempt, which everybody knows who reads the journal.
    const blob = bench.journal.state.entries.get('real')?.blob ?? '';
    const action = { path: 'vault/actions/real.toml', blob, commit: null, sha256: null };
    forge('real', { action, attempt: { number: 1, token, dispatcher: 'edge-1', executions: 1 } });
    const second = await bench.once({ resultKeys });
    const conflict = second.log.filter(({ fields }) => fields['code'] === 'ERR_RESULT_CONFLICT');
    expect([conflict.length, second.report.results]).toEqual([1, []]);
    expect([bench.access.loose, bench.journal.state.entries.size, bench.journal.state.ended.has('real')]).toEqual([
      0,
      0,
      true,
    ]);
  });
});
