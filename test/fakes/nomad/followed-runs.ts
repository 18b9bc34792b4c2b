import { randomBytes } from 'node:crypto';
import type { Timing } from '../../../src/adapters/engines/nomad/timing.ts';
import type { EngineTools } from '../../../src/adapters/factory.ts';
import type { AttemptToken } from '../../../src/domain/ids.ts';
import type { Run, RunEnd, RunStatus } from '../../../src/domain/run.ts';
import type { Engine } from '../../../src/ports/engine.ts';
import { FakeNomadBench } from '../nomad-bench.ts';
import { until } from '../until.ts';
import type { FakeNomadOptions } from './fake-nomad.ts';
import { type ChildPlan, type ScriptedDriver, scriptedDriver } from './scripted-driver.ts';

export interface FollowedRun {
  /** Everything that is told of it, as it comes. */
  readonly told: RunStatus[];
  states(): RunStatus['state'][];
  isRunning(): Promise<unknown>;
  /** Resolves when the watch is over; null: it was told no end. */
  end(): Promise<RunEnd | null>;
}

/** An engine on a fake Nomad with scripted children, and who follows its runs. */
export class FollowedRuns {
  readonly bench: FakeNomadBench;
  readonly driver: ScriptedDriver;
  readonly #following = new AbortController();
  readonly #followers: Promise<unknown>[] = [];

  private constructor(bench: FakeNomadBench, driver: ScriptedDriver) {
    this.bench = bench;
    this.driver = driver;
  }

  static async open(plan: ChildPlan = { held: true }, options: FakeNomadOptions = {}): Promise<FollowedRuns> {
    const driver = scriptedDriver(plan);
    return new FollowedRuns(await FakeNomadBench.open({ driver, ...options }), driver);
  }

  dispatch(engine: Engine): Promise<Run> {
    return engine.dispatch(this.bench.request(randomBytes(16).toString('hex') as AttemptToken));
  }

  follow(engine: Engine, run: Run): FollowedRun {
    const told: RunStatus[] = [];
    const done = (async () => {
      for await (const status of engine.watch(run, this.#following.signal)) told.push(status);
      return told.at(-1);
    })();
    // Whoever does not wait for the end does not care how it fails.
    this.#followers.push(done.catch(() => undefined));
    const states = () => told.map(({ state }) => state);
    const isRunning = () => until('it runs', () => states().includes('running'));
    const end = async () => {
      const last = await done;
      return last?.state === 'ended' ? last.end : null;
    };
    return { told, states, isRunning, end };
  }

  /** A run that is held, with somebody who follows it. */
  async running(timing: Partial<Timing> = {}, tools: Partial<EngineTools> = {}) {
    const engine = this.bench.engine(timing, tools);
    const run = await this.dispatch(engine);
    const followed = this.follow(engine, run);
    await followed.isRunning();
    await until('the stream is there', () => this.bench.nomad.streams.open > 0);
    return { engine, run, followed };
  }

  /** A whole look at the only run that is followed, begun after now, has been heard. */
  async lookedAt(): Promise<void> {
    const looks = () => this.bench.nomad.count('job allocations');
    // A look begins when the one before it was heard.
    const next = looks() + 2;
    await until('it is looked at', () => looks() >= next);
  }

  async close(): Promise<void> {
    this.#following.abort();
    await Promise.all(this.#followers);
    await this.bench.close();
  }
}
