import type { ServerResponse } from 'node:http';
import type { Call } from './http.ts';
import { denied, Refusal } from './http.ts';
import type { LogName, LogPiece, LogStore } from './log-store.ts';
import type { State } from './state.ts';
import type { Allocation } from './wire.ts';

/** `GET /v1/client/fs/logs/:alloc`, plain or in frames that are glued together without a newline. */
export class Logs {
  /** Written after the log where a server fails after it has answered 200; empty: nothing. */
  textAfter200 = '';
  readonly #state: State;
  readonly #store: LogStore;
  readonly #heartbeatMs: number;

  constructor(state: State, store: LogStore, heartbeatMs: number) {
    this.#state = state;
    this.#store = store;
    this.#heartbeatMs = heartbeatMs;
  }

  handle(call: Call): null {
    const name = nameOf(call);
    const allocation = allocationFor(call, this.#state);
    checkRights(call, allocation);
    checkPath(allocation);
    checkTask(allocation, name, this.#store);
    const isPlain = call.query.get('plain') === 'true';
    const encode = isPlain ? (piece: LogPiece) => piece.bytes : frameOf;
    const origin = call.query.get('origin') === 'end' ? 'end' : 'start';
    const kept = this.#store.read(allocation.ID, name, Number(call.query.get('offset') ?? 0), origin);
    const { response } = call;
    response.setHeader('content-type', isPlain ? 'text/plain' : 'application/json');
    if (call.query.get('follow') === 'true') {
      response.flushHeaders();
      for (const piece of kept) response.write(encode(piece));
      this.#follow(response, allocation.ID, name, isPlain);
    } else {
      for (const piece of kept) response.write(encode(piece));
      response.end(this.textAfter200);
    }
    return null;
  }

  /** Never ends by itself, not even with the task. */
  #follow(response: ServerResponse, allocationId: string, name: LogName, isPlain: boolean): void {
    const encode = isPlain ? (piece: LogPiece) => piece.bytes : frameOf;
    const unfollow = this.#store.follow(allocationId, name, (piece) => response.write(encode(piece)));
    const heartbeat = isPlain ? undefined : setInterval(() => response.write('{}'), this.#heartbeatMs).unref();
    response.once('close', () => {
      unfollow();
      clearInterval(heartbeat);
    });
  }
}

/** The allocation of a client endpoint, or the error of the server for its id. */
export function allocationFor(call: Call, state: State): Allocation {
  const id = call.parts[0] ?? '';
  if (call.rights.problem === 'expired') throw new Refusal(500, 'rpc error: ACL token expired');
  if (call.rights.problem === 'unknown') throw new Refusal(500, 'rpc error: Permission denied');
  if (id.length !== 36) throw new Refusal(500, 'alloc lookup failed: index error: UUID must be 36 characters');
  const allocation = state.allocations.get(id);
  if (!allocation) throw new Refusal(404, `Unknown allocation "${id}"`);
  return allocation;
}

/** What a client would answer needs a client that is there. */
export function checkPath({ ClientStatus }: Allocation): void {
  if (ClientStatus === 'lost' || ClientStatus === 'unknown') throw new Refusal(404, 'No path to node');
}

function nameOf(call: Call): LogName {
  const task = call.query.get('task') ?? '';
  const stream = call.query.get('type');
  if (task === '') throw new Refusal(400, 'must provide task name');
  if (stream !== 'stdout' && stream !== 'stderr') throw new Refusal(400, 'must provide log type (stdout/stderr)');
  return { task, stream };
}

/** The namespace of the allocation counts, not that of the query. */
function checkRights({ rights }: Call, { Namespace }: Allocation): void {
  if (!rights.has('read-logs', Namespace) && !rights.has('read-fs', Namespace)) throw denied();
}

function checkTask(allocation: Allocation, { task }: LogName, store: LogStore): void {
  if (store.isCollected(allocation.ID)) {
    throw new Refusal(404, `state for allocation ${allocation.ID} not found on client`);
  }
  const state = allocation.TaskStates?.[task];
  if (allocation.TaskStates && !state) throw new Refusal(400, `unknown task name "${task}"`);
  if (!state || state.StartedAt === null) {
    throw new Refusal(404, `task "${task}" not started yet. No logs available`);
  }
}

/** `Offset` is the position after the data, not before it. */
function frameOf(piece: LogPiece): string {
  return JSON.stringify({ Data: piece.bytes.toString('base64'), File: piece.file, Offset: piece.end });
}
