import { statSync } from 'node:fs';
import { hostname, uptime } from 'node:os';
import path from 'node:path';
import { z } from 'zod';
import type { Check } from '../../domain/check.ts';
import type { AttemptToken } from '../../domain/ids.ts';
import type { Run, RunStatus, StopRequest } from '../../domain/run.ts';
import { type Host, RUN_FILES } from '../../domain/run-directory.ts';
import { EdgeError, StalledError, TransientError, toError } from '../../errors.ts';
import type { AttemptRef, DispatchRequest, Engine, LogStream, Place } from '../../ports/engine.ts';
import { isErrno } from '../durable-file.ts';
import type { EngineTools } from '../factory.ts';
import { readRegular } from '../regular-file.ts';
import { stateLayout } from '../state-dir.ts';
import { checkMachine } from './subprocess/checks.ts';
import { readArtifact, removeTree } from './subprocess/kept-files.ts';
import { type Launched, launch } from './subprocess/launch.ts';
import { signalMember } from './subprocess/members.ts';
import { type RunAs, resolveRunAs } from './subprocess/run-as.ts';
import { noteStop, prepareRun, readStarted, runDirectory } from './subprocess/run-files.ts';
import { lookAt, statusOf } from './subprocess/sight.ts';
import { TIMING, type Timing } from './subprocess/timing.ts';
import { Watcher } from './subprocess/watcher.ts';

const options = z.strictObject({
  /** Another user for commands: a name of /etc/passwd or `uid:gid`; needs root. */
  run_as: z
    .string()
    .regex(/^(?:|[A-Za-z_][A-Za-z0-9_.-]*\$?|[0-9]+:[0-9]+)$/, 'must be empty, a user name or uid:gid')
    .default(''),
});

/**
 * The embedded default: runs on this machine, each as a runner process that outlives the daemon. Runner and engine meet
 * in `<state_dir>/runs/<token>/` (domain/run-directory.ts) only, so any later process can take over.
 */
export const subprocess = {
  options,
  create: (settings: z.output<typeof options>, tools: EngineTools): Engine => createSubprocess(settings, tools),
};

/** `timing` is for tests. */
export function createSubprocess(
  settings: z.output<typeof options>,
  tools: EngineTools,
  timing: Timing = TIMING,
): Engine {
  return new Subprocess(resolveRunAs(settings.run_as), tools, timing);
}

class Subprocess implements Engine {
  readonly kind = 'subprocess';
  readonly isolated: boolean;
  readonly #runs: string;
  readonly #runAs: RunAs;
  readonly #tools: EngineTools;
  readonly #timing: Timing;
  readonly #watcher: Watcher;

  constructor(runAs: RunAs, tools: EngineTools, timing: Timing) {
    this.isolated = runAs.kind === 'user';
    this.#runs = stateLayout(tools.stateDir).runs;
    this.#runAs = runAs;
    this.#tools = tools;
    this.#timing = timing;
    this.#watcher = new Watcher(tools, timing);
  }

  check(): Promise<readonly Check[]> {
    return checkMachine({ runs: this.#runs, runner: this.#tools.runner, runAs: this.#runAs });
  }

  ready({ mounts }: Place): Promise<void> {
    return orUnavailable('its mounts can not be looked at', async () => void this.#hostFor(mounts));
  }

  find({ token }: Pick<AttemptRef, 'token'>): Promise<Run | null> {
    const directory = this.#directory(token);
    return orUnavailable('its run directory can not be read', async () =>
      readStarted(directory).kind === 'none' ? null : runOf(token),
    );
  }

  look(run: Run): Promise<RunStatus | null> {
    const directory = this.#directory(run.token);
    return orUnavailable('its run directory can not be read', async () => statusOf(lookAt(directory)));
  }

  async dispatch(request: DispatchRequest, signal?: AbortSignal): Promise<Run> {
    const { token } = request;
    const directory = this.#directory(token);
    const earlier = await this.find({ token });
    if (earlier !== null) return earlier;
    const host = this.#hostFor(request.meta.mounts.split(',').filter((name) => name !== ''));
    const launched = await orUnavailable('the runner can not be started', async () => {
      await prepareRun(directory, host, request.payload);
      return await launch(this.#tools, directory, () => this.#watcher.hint(token));
    });
    await this.#untilStarted(directory, launched, signal);
    return runOf(token);
  }

  watch(run: Run, signal: AbortSignal): AsyncIterable<RunStatus> {
    return this.#watcher.watch(run, this.#directory(run.token), signal);
  }

  async *logs(run: Run, stream: LogStream, offset: number, signal?: AbortSignal): AsyncGenerator<Uint8Array> {
    const file = path.join(this.#directory(run.token), RUN_FILES[stream]);
    try {
      yield* readRegular(file, offset, signal);
    } catch (error) {
      throw unavailable('its output can not be read', error);
    }
  }

  artifact(run: Run, file: string): Promise<AsyncIterable<Uint8Array> | null> {
    const directory = this.#directory(run.token);
    return orUnavailable('its artifacts can not be read', () => readArtifact(directory, file));
  }

  /** TERM to the runner, which stops the command. Whoever watches kills what has not ended in time. */
  async cancel(run: Run, why: StopRequest): Promise<void> {
    const directory = this.#directory(run.token);
    await orUnavailable('it can not be asked to stop', async () => {
      const sight = lookAt(directory);
      if (sight.kind === 'running' || sight.kind === 'queued') await noteStop(directory, why.kind, uptime());
      if (sight.kind !== 'running') return;
      const { pid, start_time: startTime } = sight.started;
      if (!signalMember({ pid, startTime }, 'SIGTERM')) {
        throw new StalledError('ERR_ENGINE_DENIED', `not allowed to stop process ${pid} of run ${run.id}`);
      }
    });
    this.#watcher.hint(run.token);
  }

  forget(token: AttemptToken): Promise<void> {
    const directory = this.#directory(token);
    return orUnavailable('its run directory can not be removed', async () => {
      if (lookAt(directory).kind === 'running') {
        throw new TransientError('ERR_ENGINE_UNAVAILABLE', `run ${runOf(token).id} still lives and is not forgotten`);
      }
      await removeTree(directory);
    });
  }

  #directory(token: AttemptToken): string {
    return runDirectory(this.#runs, token);
  }

  #hostFor(names: readonly string[]): Host {
    if (this.#runAs.kind === 'refused') throw new StalledError('ERR_ENGINE_DENIED', this.#runAs.message);
    return {
      mounts: Object.fromEntries(names.map((name) => [name, this.#mountPath(name)])),
      run_as: this.#runAs.kind === 'user' ? this.#runAs.ids : null,
      grace_ms: this.#timing.graceMs,
    };
  }

  #mountPath(name: string): string {
    const { mounts } = this.#tools.wanted;
    const mount = Object.hasOwn(mounts, name) ? mounts[name]?.path : undefined;
    const hint = `Set path of [mounts.${name}] to a directory of this machine.`;
    if (mount == null) {
      throw new StalledError('ERR_ENGINE_DENIED', `this machine has no mount ${JSON.stringify(name)}`, { hint });
    }
    const full = path.resolve(mount);
    if (statSync(full, { throwIfNoEntry: false })?.isDirectory() === true) return full;
    throw new StalledError('ERR_ENGINE_DENIED', `mount ${JSON.stringify(name)} is no directory: ${full}`, { hint });
  }

  /** Whose runner has started does not matter: there is one. Throws TransientError when none has. */
  async #untilStarted(directory: string, launched: Launched, signal?: AbortSignal): Promise<void> {
    const { clock } = this.#tools;
    const end = clock.monotonic() + this.#timing.startMs;
    for (;;) {
      signal?.throwIfAborted();
      // Asked for before `started`: a runner that ended in between has linked it by then.
      const { ended } = launched;
      if (readStarted(directory).kind !== 'none') return;
      if (ended !== null) throw notStarted(directory, `ended with ${ended}`);
      if (clock.monotonic() >= end) throw notStarted(directory, `did nothing for ${this.#timing.startMs} ms`);
      await clock.sleep(START_POLL_MS, signal);
    }
  }
}

const START_POLL_MS = 10;

const runOf = (token: AttemptToken): Run => ({ token, id: `subprocess/${token}`, node: hostname() });

function notStarted(directory: string, how: string): TransientError {
  const hint = `Read ${path.join(directory, RUN_FILES.stderr)}; it is tried again.`;
  return new TransientError('ERR_ENGINE_UNAVAILABLE', `the runner ${how} before it had started`, { hint });
}

async function orUnavailable<T>(what: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw unavailable(what, error);
  }
}

/** What the operating system refuses is an outage of the engine, unless it is a matter of rights. */
function unavailable(what: string, error: unknown): EdgeError {
  if (error instanceof EdgeError) return error;
  const message = `${what}: ${toError(error).message}`;
  const details = { cause: error };
  if (isErrno(error, 'EACCES', 'EPERM')) return new StalledError('ERR_ENGINE_DENIED', message, details);
  return new TransientError('ERR_ENGINE_UNAVAILABLE', message, details);
}
