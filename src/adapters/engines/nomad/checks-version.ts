import { z } from 'zod';
import { EdgeError } from '../../../errors.ts';
import type { NomadClient } from './client.ts';

/** The first with deregister-job and without two runs for one idempotency token. */
export const MINIMUM = '1.11.3';

/** What Nomad tells of itself; null: this token may not read it, or it is left at its default. */
export interface AgentSettings {
  readonly version: string | null;
  readonly jobGcSeconds: number | null;
  readonly gcMaxAllocs: number | null;
}

const agentSelf = z.object({
  member: z.object({ Tags: z.record(z.string(), z.string()).nullish() }).nullish(),
  config: z
    .object({
      Server: z.object({ JobGCThreshold: z.string().nullish() }).nullish(),
      Client: z.object({ GCMaxAllocs: z.number().nullish() }).nullish(),
    })
    .nullish(),
});
const nodes = z.array(z.object({ Version: z.string() }));

/**
 * The dispatcher's own policy has neither of these rights; an operator may add `agent` or `node` read. Throws for an
 * aborted signal only.
 */
export async function readAgent(client: NomadClient, signal?: AbortSignal): Promise<AgentSettings> {
  const agent = await orNull(() => client.get('/v1/agent/self', agentSelf, { signal, recheck: false }));
  if (agent !== null) return settingsOf(agent.value);
  const query = { per_page: 1 };
  const list = await orNull(() => client.get('/v1/nodes', nodes, { signal, recheck: false, query }));
  return { version: list?.value[0]?.Version ?? null, jobGcSeconds: null, gcMaxAllocs: null };
}

function settingsOf({ member, config }: z.output<typeof agentSelf>): AgentSettings {
  return {
    version: member?.Tags?.['build'] ?? null,
    jobGcSeconds: seconds(config?.Server?.JobGCThreshold ?? ''),
    gcMaxAllocs: config?.Client?.GCMaxAllocs ?? null,
  };
}

async function orNull<T>(ask: () => Promise<T | null>): Promise<T | null> {
  try {
    return await ask();
  } catch (error) {
    if (error instanceof EdgeError) return null;
    throw error;
  }
}

/** Pre-releases and editions (`1.11.3+ent`, `2.0.0-rc.1`) count as their number. Not readable: not new enough. */
export function isNewEnough(version: string): boolean {
  const numbers = /^v?(\d+)\.(\d+)\.(\d+)/.exec(version)?.slice(1).map(Number);
  if (numbers === undefined) return false;
  const minimum = MINIMUM.split('.').map(Number);
  const different = numbers.findIndex((number, place) => number !== minimum[place]);
  return different === -1 || (numbers[different] ?? 0) > (minimum[different] ?? 0);
}

/** Go's way of writing a duration: `4h`, `1h30m0s`. null: it is none of these. */
function seconds(duration: string): number | null {
  const parts = /^(?:(\d{1,6})h)?(?:(\d{1,6})m)?(?:(\d{1,6})s)?$/.exec(duration);
  if (parts === null || duration === '') return null;
  const [hours, minutes, rest] = [parts[1], parts[2], parts[3]].map((part) => Number(part ?? 0));
  return (hours ?? 0) * 3600 + (minutes ?? 0) * 60 + (rest ?? 0);
}
