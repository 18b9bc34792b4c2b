import { salvageId } from '../domain/action.ts';
import { type ActionId, blobOid, type Oid } from '../domain/ids.ts';
import type { OpsRepo } from '../ports/ops-repo.ts';
import type { StoryContext } from './context.ts';
import type { InForce } from './in-force.ts';
import type { Candidate, World } from './world.ts';

/** Bytes as the action that they are on the branch, or would be right after a push. */
export interface Planned {
  /** Its place in the ops repo. */
  readonly path: string;
  readonly bytes: Uint8Array;
  readonly blob: Oid;
  /** null: its name is no id. */
  readonly id: ActionId | null;
  /** Exactly these bytes lie at this path of the branch's tip. */
  readonly committed: boolean;
  /** As the daemon sees it, or would see it. */
  readonly candidate: Candidate | null;
}

export function plannedAt(path: string, bytes: Uint8Array, context: StoryContext): Planned {
  const world = context.world();
  const blob = blobOid(bytes, world.tips.tip.length === 64 ? 'sha256' : 'sha1');
  const id = salvageId(path);
  const there = id === null ? undefined : world.catalogue.files(id).find((one) => one.path === path);
  const committed = there?.entry.oid === blob;
  return { path, bytes, blob, id, committed, candidate: candidateOf({ path, blob, id, committed }, context) };
}

function candidateOf(planned: Omit<Planned, 'bytes' | 'candidate'>, context: StoryContext): Candidate | null {
  const { id, path, blob, committed } = planned;
  if (id === null) return null;
  const world = context.world();
  const known = world.candidates.get(id);
  if (committed && known?.file.path === path) return known;
  return {
    id,
    file: { path, entry: { path, kind: 'file', oid: blob } },
    commit: world.tips.tip,
    committedAt: context.clock.now().toISOString(),
    duplicates: [],
  };
}

/**
 * The world right after a push of all these bytes; of what lies on the branch already, the world as it is. `gated`: edits
 * of policy and formulas that come along and are not in force.
 */
export function afterPush(
  pushed: readonly Planned[],
  context: StoryContext,
  gated: InForce['pending'] = [],
): StoryContext {
  const world = context.world();
  const candidates = new Map(world.candidates);
  for (const { candidate } of pushed) if (candidate !== null) candidates.set(candidate.id, candidate);
  const inForce = { ...world.inForce, pending: [...world.inForce.pending, ...gated] };
  const changed: World = { ...world, candidates, inForce };
  const bytes = new Map(pushed.map((each) => [each.blob, each.bytes] as const));
  return { ...context, opsRepo: withBlobs(context.opsRepo, bytes), world: () => changed };
}

/** The ops repo with some more blobs. */
function withBlobs(opsRepo: OpsRepo, bytes: ReadonlyMap<Oid, Uint8Array>): OpsRepo {
  const read: OpsRepo['read'] = (asked) => {
    const known = bytes.get(asked);
    return known === undefined ? opsRepo.read(asked) : Promise.resolve(known);
  };
  return new Proxy(opsRepo, {
    get(target, name) {
      if (name === 'read') return read;
      const value: unknown = Reflect.get(target, name);
      return typeof value === 'function' ? (value.bind(target) as unknown) : value;
    },
  });
}
