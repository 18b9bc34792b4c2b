import { randomBytes } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type AttemptToken, sha256 } from '../../src/domain/ids.ts';
import type { Run, RunEnd, RunStatus } from '../../src/domain/run.ts';
import { StalledError } from '../../src/errors.ts';
import type { AttemptRef, DispatchRequest, Engine, Place } from '../../src/ports/engine.ts';
import { textOf, until } from '../fakes/until.ts';

/** What a run is to do, in words that every engine can be told. */
export interface Job {
  readonly stdout?: string;
  readonly stderr?: string;
  /** Waits after its output until it is released, or stopped. */
  readonly held?: boolean;
  /** Ends by this code, or by a signal to itself. */
  readonly end?: number | 'SIGTERM' | 'SIGKILL';
}

/** One engine, and what a test has to be able to do behind its back. */
export interface EngineHarness {
  readonly engine: Engine;
  /** Another instance over the same state, as after a restart of the daemon. The first one lives on. */
  reopen(): Engine;
  request(token: AttemptToken, job: Job): DispatchRequest;
  /** What its requests ask for is to be had; this is not. */
  readonly missing: Place;
  /** Lets a held run go on to its end. */
  release(token: AttemptToken): Promise<void>;
  /** How often the command of this token has really been started. */
  executions(token: AttemptToken): Promise<number>;
  /** Makes the run's processes disappear without a word. */
  vanish(run: Run): Promise<void>;
  /** What the engine can say of a run that vanished. */
  readonly vanishedIs: 'lost' | 'unknown';
  close(): Promise<void>;
}

const WHY = { kind: 'cancel', by: 'somebody', message: 'no longer wanted' } as const;

export const randomToken = (): AttemptToken => randomBytes(16).toString('hex') as AttemptToken;

/** The cases that every implementation of ports/engine.ts passes. */
export function engineContract(name: string, makeHarness: () => Promise<EngineHarness>): void {
  describe(`the engine ${name}`, () => {
    let harness: EngineHarness;
    let engine: Engine;
    let token: AttemptToken;
    let requests: Map<string, DispatchRequest>;
    /** The same job asked for twice is the same bytes, as it is for the story. */
    const requestOf = (job: Job): DispatchRequest => {
      const known = requests.get(JSON.stringify(job));
      const request = known ?? harness.request(token, job);
      requests.set(JSON.stringify(job), request);
      return request;
    };
    const dispatch = (job: Job): Promise<Run> => engine.dispatch(requestOf(job));
    const refOf = (job: Job): AttemptRef => ({ token, payloadSha256: sha256(requestOf(job).payload) });

    beforeEach(async () => {
      harness = await makeHarness();
      engine = harness.engine;
      token = randomToken();
      requests = new Map();
    });

    afterEach(() => harness.close());

    it('finds nothing wrong with its own surroundings', async () => {
      const checks = await engine.check();
      expect(checks.length).toBeGreaterThan(0);
      expect(checks.filter((check) => !check.ok)).toEqual([]);
    });

    it('is ready for what can be dispatched, and starts nothing by that', async () => {
      const { job, meta } = requestOf({ end: 0 });
      await engine.ready({ job, mounts: meta.mounts.split(',').filter((name) => name !== '') });
      expect([await engine.find(refOf({ end: 0 })), await harness.executions(token)]).toEqual([null, 0]);
    });

    it('says that a person has to mend something where a job or a mount is not to be had', async () => {
      await expect(engine.ready(harness.missing)).rejects.toThrow(StalledError);
    });

    it('knows no run of a token that was never dispatched', async () => {
      expect(await engine.find(refOf({ end: 0 }))).toBeNull();
    });

    it.each([0, 3, 255])('tells that a run ended by itself with code %i (E1)', async (code) => {
      const run = await dispatch({ end: code });
      expect(await endOf(engine, run)).toMatchObject({ kind: 'exited', exitCode: code, signal: null, oom: false });
    });

    it('tells the signal that a command died of (E1)', async () => {
      const run = await dispatch({ end: 'SIGKILL' });
      expect(await endOf(engine, run)).toMatchObject({ kind: 'exited', exitCode: 137, signal: 'SIGKILL' });
    });

    it('says when a run started and finished', async () => {
      const end = await endOf(engine, await dispatch({ end: 0 }));
      const { startedAt, finishedAt } = end.kind === 'exited' ? end : { startedAt: null, finishedAt: null };
      expect(Date.parse(startedAt ?? '')).toBeLessThanOrEqual(Date.parse(finishedAt ?? ''));
    });

    it('keeps both streams apart and complete after the end (R10)', async () => {
      const run = await dispatch({ stdout: 'to out\n', stderr: 'to err\n', end: 0 });
      await endOf(engine, run);
      expect(await textOf(engine.logs(run, 'stdout', 0))).toContain('to out\n');
      expect(await textOf(engine.logs(run, 'stderr', 0))).toContain('to err\n');
      expect(await textOf(engine.logs(run, 'stdout', 0))).not.toContain('to err');
    });

    it('gives output from an offset, so that nothing is read twice', async () => {
      const run = await dispatch({ stdout: 'first second', end: 0 });
      await endOf(engine, run);
      const all = await textOf(engine.logs(run, 'stdout', 0));
      expect(await textOf(engine.logs(run, 'stdout', 6))).toBe(all.slice(6));
      expect(await textOf(engine.logs(run, 'stdout', all.length))).toBe('');
    });

    it('gives the output of a run that is still going on', async () => {
      const run = await dispatch({ stdout: 'early words', held: true });
      await until('output is there', () => textOf(engine.logs(run, 'stdout', 0)));
      expect(await textOf(engine.logs(run, 'stdout', 0))).toContain('early words');
      await harness.release(token);
      await endOf(engine, run);
    });

    it('makes one execution of a token that is dispatched twice (R4)', async () => {
      const run = await dispatch({ held: true });
      const again = await dispatch({ held: true });
      expect(again).toEqual(run);
      await harness.release(token);
      await endOf(engine, run);
      expect(await harness.executions(token)).toBe(1);
    });

    it('makes one execution when two daemons dispatch a token at the same time (R4)', async () => {
      const request = requestOf({ held: true });
      const runs = await Promise.all(
        [engine, harness.reopen(), harness.reopen()].map((each) => each.dispatch(request)),
      );
      await harness.release(token);
      await Promise.all(runs.map((run) => endOf(engine, run)));
      expect(await harness.executions(token)).toBe(1);
    });

    it('makes no second execution of a token whose run has ended (R4)', async () => {
      await endOf(engine, await dispatch({ end: 3 }));
      const again = await dispatch({ end: 3 });
      expect(await endOf(engine, again)).toMatchObject({ exitCode: 3 });
      expect(await harness.executions(token)).toBe(1);
    });

    it('finds after a restart the run that was dispatched before it, and follows it to its end (R8)', async () => {
      const job = { stdout: 'kept', held: true };
      const run = await dispatch(job);
      const restarted = harness.reopen();
      expect(await restarted.find(refOf(job))).toEqual(run);
      await harness.release(token);
      expect(await endOf(restarted, run)).toMatchObject({ kind: 'exited', exitCode: 0 });
      expect(await textOf(restarted.logs(run, 'stdout', 0))).toContain('kept');
    });

    it('tells the true end of a run that finished while nobody watched (R8)', async () => {
      const run = await dispatch({ end: 3 });
      await endOf(engine, run);
      expect(await endOf(harness.reopen(), run)).toMatchObject({ kind: 'exited', exitCode: 3 });
    });

    it('tells two who watch at the same time the same end', async () => {
      const run = await dispatch({ held: true });
      const ends = [endOf(engine, run), endOf(engine, run), endOf(harness.reopen(), run)];
      await harness.release(token);
      const [first, ...others] = await Promise.all(ends);
      expect(first).toMatchObject({ kind: 'exited', exitCode: 0 });
      expect(others).toEqual([first, first]);
    });

    it('tells in one look how a run is, and its end when it has one', async () => {
      const run = await dispatch({ held: true, end: 3 });
      await until('it runs', async () => (await engine.look(run))?.state === 'running');
      await harness.release(token);
      const end = await endOf(engine, run);
      expect(await harness.reopen().look(run)).toMatchObject({ state: 'ended', end });
    });

    it('tells that a run is running, and its end last', async () => {
      const run = await dispatch({ held: true });
      const states: RunStatus['state'][] = [];
      for await (const status of engine.watch(run, new AbortController().signal)) {
        states.push(status.state);
        if (status.state === 'running') await harness.release(token);
      }
      expect(states.slice(-2)).toEqual(['running', 'ended']);
    });

    it('stops telling when it is not asked any more, and the run goes on', async () => {
      const run = await dispatch({ held: true });
      const controller = new AbortController();
      for await (const status of engine.watch(run, controller.signal)) {
        expect(status.state).not.toBe('ended');
        if (status.state === 'running') controller.abort();
      }
      await harness.release(token);
      expect(await endOf(engine, run)).toMatchObject({ kind: 'exited', exitCode: 0 });
    });

    it('really stops a run that is cancelled, and then tells its end (R9)', async () => {
      const run = await dispatch({ held: true });
      await until('its command runs', () => harness.executions(token));
      await engine.cancel(run, WHY);
      expect(await endOf(engine, run)).toMatchObject({ kind: 'exited', signal: 'SIGTERM' });
    });

    it('takes the wish to cancel twice, from two daemons, and after the end (R9)', async () => {
      const run = await dispatch({ held: true });
      await Promise.all([engine.cancel(run, WHY), engine.cancel(run, WHY), harness.reopen().cancel(run, WHY)]);
      const end = await endOf(engine, run);
      await engine.cancel(run, WHY);
      expect(await endOf(engine, run)).toEqual(end);
    });

    it('does not change the end of a run that is cancelled after it (R9)', async () => {
      const run = await dispatch({ end: 0 });
      await endOf(engine, run);
      await engine.cancel(run, WHY);
      expect(await endOf(harness.reopen(), run)).toMatchObject({ kind: 'exited', exitCode: 0, signal: null });
    });

    it('tells the end of a run that vanished as what it can know of it', async () => {
      const run = await dispatch({ held: true });
      await harness.vanish(run);
      expect(await endOf(engine, run)).toMatchObject({ kind: harness.vanishedIs });
      expect(await endOf(harness.reopen(), run)).toMatchObject({ kind: harness.vanishedIs });
    });

    it('takes it when a run that it does not know is cancelled or forgotten', async () => {
      const stranger = { ...(await dispatch({ end: 0 })), token: randomToken() };
      await engine.cancel(stranger, WHY);
      await engine.forget(stranger.token);
      expect(await engine.find({ ...refOf({ end: 0 }), token: stranger.token })).toBeNull();
    });

    it('takes it when a run is forgotten twice', async () => {
      const run = await dispatch({ stdout: 'x', end: 0 });
      await endOf(engine, run);
      await engine.forget(token);
      await engine.forget(token);
      expect(await engine.artifact(run, 'x')).toBeNull();
    });
  });
}

/** Watches until the end. Throws when it is not told one. */
export async function endOf(engine: Engine, run: Run): Promise<RunEnd> {
  for await (const status of engine.watch(run, AbortSignal.timeout(20_000))) {
    if (status.state === 'ended') return status.end;
  }
  throw new Error('was told no end');
}
