import type { Check } from '../../domain/check.ts';
import type { AttemptToken } from '../../domain/ids.ts';
import type { Run, RunStatus, StopRequest } from '../../domain/run.ts';
import type { AttemptRef, DispatchRequest, Engine, LogStream, Place } from '../../ports/engine.ts';
import type { Catalogue, Change, EngineTools } from '../factory.ts';
import { checkNomad } from './nomad/checks.ts';
import { CLIENT_TIMING, type ClientTiming, NomadClient } from './nomad/client.ts';
import { credentialsOf } from './nomad/credentials.ts';
import { nomadDeployment } from './nomad/deployment.ts';
import { Dispatcher } from './nomad/dispatch.ts';
import { driftFrom, JobGate } from './nomad/dispatch-gate.ts';
import { Finder } from './nomad/find.ts';
import { Hub } from './nomad/hub.ts';
import { hubReads } from './nomad/hub-reads.ts';
import { type NomadOptions, nomadOptions } from './nomad/options.ts';
import { Spool } from './nomad/spool.ts';
import { TIMING, type Timing } from './nomad/timing.ts';
import { Watches } from './nomad/watch.ts';
import { firstAllocation, lookAtRun, readArtifact, stopChild } from './nomad/watch-calls.ts';
import { Output } from './nomad/watch-output.ts';

/**
 * Runs are children of parameterized batch jobs of a Nomad namespace. Dispatch and reads by HTTP; one event stream for
 * all that is followed; output is drained into `<state_dir>/cache` because clients collect it early.
 */
export const nomad = {
  options: nomadOptions,
  create: (settings: NomadOptions, tools: EngineTools): Engine => createNomad(settings, tools),
  deployment: (settings: NomadOptions, tools: EngineTools, catalogue: Catalogue): Promise<readonly Change[]> =>
    nomadDeployment(clientOf(settings, tools, CLIENT_TIMING), settings, tools, catalogue),
};

function clientOf(settings: NomadOptions, { clock, token }: EngineTools, timing: ClientTiming): NomadClient {
  return new NomadClient(settings, { clock, credentials: credentialsOf(settings, token), timing });
}

interface EngineTiming {
  readonly watch: Timing;
  readonly client: ClientTiming;
}

const REAL: EngineTiming = { watch: TIMING, client: CLIENT_TIMING };

/** `timing` is for tests. */
export function createNomad(settings: NomadOptions, tools: EngineTools, timing: EngineTiming = REAL): Engine {
  return new Nomad(settings, tools, timing);
}

/**
 * Before its wrapper ends: what can't begin any more is stopped, and the wrapper is what proves then that it did not begin.
 */
const PROOF_MS = 90_000;

class Nomad implements Engine {
  readonly kind = 'nomad';
  /** Only the container variant gives the command a user of its own. */
  readonly isolated: boolean;
  readonly #options: NomadOptions;
  readonly #tools: EngineTools;
  readonly #client: NomadClient;
  readonly #finder: Finder;
  readonly #gate: JobGate;
  readonly #dispatcher: Dispatcher;
  readonly #output: Output;
  readonly #watches: Watches;

  constructor(options: NomadOptions, tools: EngineTools, timing: EngineTiming) {
    const { clock, log, wanted } = tools;
    const client = clientOf(options, tools, timing.client);
    this.isolated = options.driver === 'docker';
    this.#options = options;
    this.#tools = tools;
    this.#client = client;
    this.#finder = new Finder(client, clock);
    this.#gate = new JobGate({ client, clock, driftOf: driftFrom(options, tools) });
    this.#dispatcher = new Dispatcher(client, this.#gate);
    this.#output = new Output({
      spool: new Spool(client, tools),
      clock,
      log,
      timing: timing.watch,
      allocationOf: async (run, signal) => (await firstAllocation(client, run, signal))?.ID ?? null,
    });
    this.#watches = new Watches({
      hub: new Hub({ reads: hubReads(client), clock, log, timing: timing.watch }),
      clock,
      log,
      timing: timing.watch,
      placementMs: wanted.placementSeconds * 1000,
      startMs: wanted.wrapSeconds * 1000 - PROOF_MS,
      stop: (child, signal) => stopChild(client, child, signal),
      drain: (run, from, signal) => this.#output.drain(run, from, signal),
    });
  }

  check(signal?: AbortSignal): Promise<readonly Check[]> {
    return checkNomad(this.#client, this.#options, this.#tools, signal);
  }

  ready(place: Place): Promise<void> {
    return this.#gate.pass(place);
  }

  find(attempt: AttemptRef, signal?: AbortSignal): Promise<Run | null> {
    return this.#finder.find(attempt, signal);
  }

  look(run: Run, signal?: AbortSignal): Promise<RunStatus | null> {
    return lookAtRun(this.#client, run, signal);
  }

  dispatch(request: DispatchRequest, signal?: AbortSignal): Promise<Run> {
    return this.#dispatcher.dispatch(request, signal);
  }

  watch(run: Run, signal: AbortSignal): AsyncIterable<RunStatus> {
    return this.#watches.watch(run, signal);
  }

  logs(run: Run, stream: LogStream, offset: number, signal?: AbortSignal): AsyncIterable<Uint8Array> {
    return this.#output.read(run, stream, offset, signal);
  }

  async artifact(run: Run, path: string): Promise<AsyncIterable<Uint8Array> | null> {
    return this.#options.artifacts ? await readArtifact(this.#client, run, path) : null;
  }

  /** Without purge: a purged allocation tells no end. The reason is the story's to record; Nomad has no place for it. */
  async cancel(run: Run, _why: StopRequest, signal?: AbortSignal): Promise<void> {
    await stopChild(this.#client, run.id, signal);
    this.#watches.hint(run);
  }

  /** Nomad collects its own children. */
  forget(token: AttemptToken): Promise<void> {
    return this.#output.forget(token);
  }
}
