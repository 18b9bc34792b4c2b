import { jobPath, type NomadCalls } from './client.ts';
import type { HubReads } from './hub.ts';
import { allocations, evaluations, job } from './types.ts';

/** All topics that concern a run; one namespace, never `*`: Nomad refuses that to a token of some namespaces. */
const STREAM = '/v1/event/stream?topic=Allocation&topic=Evaluation&topic=Job';

/** The hub's questions to the server. */
export function hubReads(client: NomadCalls): HubReads {
  return {
    openEvents: async (index, signal) => {
      const from = index > 0 ? index : await newestIndex(client, signal);
      return client.stream(STREAM, { query: { index: from }, signal });
    },
    allocationsMatching: async (pattern, signal) => {
      const filter = `JobID matches "${pattern}"`;
      return (await client.get('/v1/allocations', allocations, { query: { filter }, signal }))?.value ?? [];
    },
    allocationsOf: async (child, signal) =>
      (await client.get(`${jobPath(child)}/allocations`, allocations, { signal }))?.value ?? [],
    evaluationsOf: async (child, signal) =>
      (await client.get(`${jobPath(child)}/evaluations`, evaluations, { signal }))?.value ?? [],
    job: async (child, signal) => (await client.get(jobPath(child), job, { signal }))?.value ?? null,
  };
}

/** Without an index the server would send all that it holds, which can be hundreds of megabytes. */
async function newestIndex(client: NomadCalls, signal: AbortSignal): Promise<number> {
  return (await client.get('/v1/allocations', allocations, { query: { per_page: 1 }, signal }))?.index ?? 0;
}
