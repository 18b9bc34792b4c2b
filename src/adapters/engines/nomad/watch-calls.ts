import { z } from 'zod';
import type { Run, RunStatus } from '../../../domain/run.ts';
import { TransientError } from '../../../errors.ts';
import { Refusal } from './answers.ts';
import { jobPath, type NomadCalls, type NomadClient } from './client.ts';
import { readStatus, statusOf } from './status.ts';
import { type Allocation, allocations, evaluations } from './types.ts';

/**
 * Stops a child, without purging it: a purged allocation tells no end. Answers when the server has taken it; again is
 * fine, and so is a child that is not there. Errors: TransientError, StalledError.
 */
export async function stopChild(client: NomadCalls, child: string, signal?: AbortSignal): Promise<void> {
  await client.send(['DELETE', jobPath(child)], undefined, z.object({}), { signal });
}

/** The allocation that counts: a later one is a replacement. null: none was made, or it was collected. */
export async function firstAllocation(client: NomadCalls, run: Run, signal?: AbortSignal): Promise<Allocation | null> {
  const list = await client.get(`${jobPath(run.id)}/allocations`, allocations, { signal });
  return list?.value.toSorted((one, two) => one.CreateIndex - two.CreateIndex)[0] ?? null;
}

/** One look, evaluations first: what is complete in them is in the allocations. null: the server keeps nothing of it. */
export async function lookAtRun(client: NomadCalls, run: Run, signal?: AbortSignal): Promise<RunStatus | null> {
  const evaluated = await client.get(`${jobPath(run.id)}/evaluations`, evaluations, { signal });
  const placed = await client.get(`${jobPath(run.id)}/allocations`, allocations, { signal });
  const seen = { allocations: placed?.value ?? [], evaluations: evaluated?.value ?? [] };
  return seen.allocations.length + seen.evaluations.length === 0 ? null : statusOf(readStatus(seen));
}

const stat = z.object({ IsDir: z.boolean(), Size: z.number() });

/**
 * A file that the run left for us; null: it is not there (any more). Errors: TransientError, also while its bytes come
 * when they are not as many as they should be, StalledError.
 */
export async function readArtifact(
  client: NomadClient,
  run: Run,
  path: string,
): Promise<AsyncIterable<Uint8Array> | null> {
  const allocation = await firstAllocation(client, run);
  if (allocation === null || path.split('/').includes('..')) return null;
  const query = { path: `alloc/data/artifacts/${path}` };
  const size = await sizeOf(client, allocation.ID, query);
  if (size === null) return null;
  return exactly(size, client.download(`/v1/client/fs/cat/${allocation.ID}`, { query }));
}

/** null: no such file. Asked for first, because `cat` answers 200 to everything and gives its errors as the content. */
async function sizeOf(
  client: NomadClient,
  allocation: string,
  query: { readonly path: string },
): Promise<number | null> {
  try {
    const answer = await client.get(`/v1/client/fs/stat/${allocation}`, stat, { query });
    return answer === null || answer.value.IsDir ? null : answer.value.Size;
  } catch (error) {
    if (error instanceof Refusal && error.kind === 'log-gone') return null;
    throw error;
  }
}

async function* exactly(size: number, bytes: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  let length = 0;
  for await (const chunk of bytes) {
    length += chunk.length;
    yield chunk;
  }
  if (length === size) return;
  throw new TransientError('ERR_ENGINE_UNAVAILABLE', `an artifact came with ${length} of its ${size} bytes`);
}
