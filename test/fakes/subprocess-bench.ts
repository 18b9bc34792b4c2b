import { appendFile, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import process from 'node:process';
import { systemClock } from '../../src/adapters/clock.ts';
import { TIMING, type Timing } from '../../src/adapters/engines/subprocess/timing.ts';
import { createSubprocess } from '../../src/adapters/engines/subprocess.ts';
import type { EngineTools } from '../../src/adapters/factory.ts';
import type { AttemptToken } from '../../src/domain/ids.ts';
import { startedSchema } from '../../src/domain/run-directory.ts';
import type { DispatchRequest, Engine } from '../../src/ports/engine.ts';
import type { LogFields } from '../../src/ports/log.ts';
import { WANTED } from './tools.ts';

/** What test/fakes/stand-in-runner.mjs is told. */
export interface StandInJob {
  readonly script: string;
  readonly timeoutMs?: number;
  readonly lingerMs?: number;
  readonly knob?: 'crash' | 'silent' | 'stuck' | 'mute';
}

/** This engine has run directories of its own making, so it asks for no digest. */
export const ANY_PAYLOAD = '0'.repeat(64);

const STAND_IN = path.resolve(import.meta.dirname, 'stand-in-runner.mjs');
const QUICK: Timing = { ...TIMING, pollMs: 20, graceMs: 400, stuckMs: 200, lingerMs: 300, vanishMs: 50 };

/** A subprocess engine on a state_dir of its own, with the stand-in as its runner. */
export class SubprocessBench {
  readonly stateDir: string;
  readonly warnings: { readonly message: string; readonly fields: LogFields | undefined }[] = [];
  #tokens = new Set<AttemptToken>();

  private constructor(stateDir: string) {
    this.stateDir = stateDir;
  }

  static async open(): Promise<SubprocessBench> {
    return new SubprocessBench(await mkdtemp(path.join(tmpdir(), 'subprocess-')));
  }

  engine(tools: Partial<EngineTools> = {}, runAs = '', timing: Partial<Timing> = {}): Engine {
    return createSubprocess({ run_as: runAs }, { ...this.#tools(), ...tools }, { ...QUICK, ...timing });
  }

  request(token: AttemptToken, job: StandInJob, mounts = ''): DispatchRequest {
    this.#tokens.add(token);
    return {
      token,
      job: 'vault-runner',
      meta: { action_id: 'a', attempt: '1', formula: 'f', mounts, secrets_csv: '' },
      payload: Buffer.from(JSON.stringify(job)),
      timeoutSeconds: 60,
    };
  }

  /** A file of the run's directory, or the directory itself. */
  file(token: AttemptToken, name = ''): string {
    return path.join(this.stateDir, 'runs', token, name);
  }

  /** A file beside the runs, for what has to outlive them. */
  aside(name: string): string {
    return path.join(this.stateDir, name);
  }

  async note(name: string): Promise<void> {
    await appendFile(this.aside(name), 'x');
  }

  async runnerPid(token: AttemptToken): Promise<number> {
    return startedSchema.parse(JSON.parse(await readFile(this.file(token, 'started'), 'utf8'))).pid;
  }

  /** Kills what the test left running, and removes everything. */
  async close(): Promise<void> {
    for (const token of this.#tokens) await this.#killRunner(token);
    await rm(this.stateDir, { recursive: true, force: true, maxRetries: 5 });
  }

  async #killRunner(token: AttemptToken): Promise<void> {
    const engine = this.engine({}, '', { graceMs: 0, stuckMs: 0 });
    const run = await engine.find({ token, payloadSha256: ANY_PAYLOAD });
    if (run === null) return;
    await engine.cancel(run, { kind: 'cancel', by: 'test', message: 'the test is over' });
    for await (const status of engine.watch(run, AbortSignal.timeout(5_000))) if (status.state === 'ended') return;
  }

  #tools(): EngineTools {
    const warn = (message: string, fields?: LogFields): void => void this.warnings.push({ message, fields });
    const quiet = (): void => undefined;
    return {
      stateDir: this.stateDir,
      clock: systemClock,
      log: { debug: quiet, info: quiet, warn, error: warn },
      runner: [process.execPath, STAND_IN],
      runnerEnvironment: {},
      token: null,
      wanted: WANTED,
    };
  }
}
