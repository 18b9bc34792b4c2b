import { sha256 } from '../../../domain/ids.ts';
import { jobVariant } from '../../../domain/job-variant.ts';
import type { Run } from '../../../domain/run.ts';
import { TransientError } from '../../../errors.ts';
import type { DispatchRequest, Place } from '../../../ports/engine.ts';
import { Refusal } from './answers.ts';
import { jobPath, type NomadCalls } from './client.ts';
import type { JobGate } from './dispatch-gate.ts';
import { ownRun } from './find-own.ts';
import { childJob, dispatchAnswer } from './types.ts';

/** How often a child that Nomad named and does not hold is asked for anew. */
const GHOSTS = 5;

/** Starts runs: each a child of the parent job that has the run's mounts. */
export class Dispatcher {
  readonly #client: NomadCalls;
  readonly #gate: JobGate;
  /** The last dispatch of each token. */
  readonly #underWay = new Map<string, Promise<unknown>>();

  constructor(client: NomadCalls, gate: JobGate) {
    this.#client = client;
    this.#gate = gate;
  }

  /**
   * The child of this request, the old one when its token was dispatched before. With the same token and bytes safe to
   * repeat: Nomad answers with the child it has, and if that was collected, the new one finds its wrapper used. Throws
   * TransientError (also when an answer was lost: the run may be there), StalledError: ERR_JOB_MISSING, ERR_JOB_DRIFT,
   * ERR_FOREIGN_RUN (the token stands for other bytes), ERR_ENGINE_DENIED, ERR_PAYLOAD_SIZE.
   */
  async dispatch(request: DispatchRequest, signal?: AbortSignal): Promise<Run> {
    // Of two requests with one token at the same time, one would be answered with a child that was never stored.
    const before = this.#underWay.get(request.token) ?? Promise.resolve();
    const own = before.then(() => this.#dispatch(request, signal));
    const settled = own.catch(() => undefined);
    this.#underWay.set(request.token, settled);
    try {
      return await own;
    } finally {
      if (this.#underWay.get(request.token) === settled) this.#underWay.delete(request.token);
    }
  }

  async #dispatch(request: DispatchRequest, signal: AbortSignal | undefined): Promise<Run> {
    const parent: Place = { job: request.job, mounts: request.meta.mounts.split(',').filter((name) => name !== '') };
    signal?.throwIfAborted();
    await this.#gate.pass(parent);
    try {
      return await this.#untilStored(request, jobVariant(parent.job, parent.mounts), signal);
    } catch (error) {
      if (error instanceof Refusal) this.#gate.forget(parent);
      throw error;
    }
  }

  async #untilStored(request: DispatchRequest, variant: string, signal: AbortSignal | undefined): Promise<Run> {
    const { token, meta, payload } = request;
    const body = { Payload: Buffer.from(payload).toString('base64'), Meta: meta };
    for (let round = 0; round < GHOSTS; round += 1) {
      const { value } = await this.#client.send(['POST', `${jobPath(variant)}/dispatch`], body, dispatchAnswer, {
        query: { idempotency_token: token },
        signal,
      });
      const child = await this.#client.get(jobPath(value.DispatchedJobID), childJob, { signal });
      // Nomad compares neither payload nor meta with those that the token was first used with.
      if (child !== null) return ownRun(child.value, { token, payloadSha256: sha256(payload) }, variant);
    }
    throw new TransientError('ERR_ENGINE_UNAVAILABLE', `job ${variant}: Nomad does not hold the child that it named`);
  }
}
