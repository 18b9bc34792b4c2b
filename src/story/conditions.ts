import type { Action } from '../domain/action.ts';
import { parseAction } from '../domain/action.ts';
import { resultSchema } from '../domain/result.ts';
import { RefusedError } from '../errors.ts';
import type { OpsRepo } from '../ports/ops-repo.ts';
import { historyOf } from './arrivals.ts';
import { foreignReason } from './foreign-reason.ts';
import type { OwnResults } from './own-results.ts';
import { type Waiting, waiting } from './waiting.ts';
import type { Candidate, World } from './world.ts';

interface Tools {
  readonly opsRepo: OpsRepo;
  readonly ownResults: OwnResults;
}

/**
 * What has to hold before an attempt beside the approval: time and dependencies. Answers why it waits,
 * or null. Throws RefusedError when it never can.
 */
export async function checkConditions(
  action: Action,
  world: World,
  tools: Tools & { readonly now: Date },
): Promise<Waiting | null> {
  const { now } = tools;
  if (action.expires_at !== null && now >= new Date(action.expires_at)) {
    throw new RefusedError('ERR_EXPIRED', `expires_at ${action.expires_at} has passed`);
  }
  if (action.not_before !== null && now < new Date(action.not_before)) {
    return waiting('ERR_NOT_BEFORE', `not_before is ${action.not_before}`);
  }
  return checkDependencies(action, world, tools);
}

/** No claim where any commit ever held a result of this id, or where the journal remembers its end. */
export function checkHistory(candidate: Candidate, world: World): Waiting | null {
  if (!world.tips.descends) {
    return waiting('ERR_HISTORY_DIVERGED', 'the branch was rewritten: its tip does not descend from the last one seen');
  }
  if (world.everRecorded(candidate.id)) {
    return waiting('ERR_ALREADY_RECORDED', 'a commit of the branch once held its result, which was deleted or moved');
  }
  if (world.journal.ended.has(candidate.id)) {
    return waiting('ERR_ALREADY_RECORDED', 'the journal says that it has ended, but the branch holds no result of it');
  }
  return null;
}

async function checkDependencies(
  action: Action,
  world: World,
  { opsRepo, ownResults }: Tools,
): Promise<Waiting | null> {
  for (const id of action.depends_on) {
    const entry = world.catalogue.result(id);
    if (entry === null) return waiting('ERR_DEPENDENCY_WAITING', `${id} has no result yet`);
    const whose = (await ownResults.judge(world.tips.tip, [entry])).get(entry.path);
    if (whose?.kind === 'foreign') {
      const why = foreignReason(whose);
      return { kind: 'waiting', reason: { ...why, message: `it depends on ${id}: ${why.message}` } };
    }
    const outcome = readOutcome(await opsRepo.read(entry.oid));
    if (outcome !== 'succeeded') {
      throw new RefusedError('ERR_DEPENDENCY_FAILED', `${id} ended ${outcome ?? 'with a result that is unreadable'}`);
    }
  }
  return null;
}

function readOutcome(bytes: Uint8Array): string | null {
  try {
    return resultSchema.parse(JSON.parse(Buffer.from(bytes).toString('utf8'))).outcome;
  } catch {
    return null;
  }
}

/**
 * Of each circle of depends_on among the pending actions, the one that was committed last. Only what is not yet ended
 * can be part of a circle.
 */
export async function dependencyCycles(world: World, opsRepo: OpsRepo): Promise<ReadonlySet<string>> {
  const cached = cycles.get(world);
  if (cached !== undefined) return cached;
  const answer = findCycles(world, opsRepo);
  cycles.set(world, answer);
  // An outage is no answer: the world stays the same until something is pushed.
  answer.catch(() => cycles.delete(world));
  return answer;
}

const cycles = new WeakMap<World, Promise<ReadonlySet<string>>>();

async function findCycles(world: World, opsRepo: OpsRepo): Promise<ReadonlySet<string>> {
  const edges = new Map<string, readonly string[]>();
  for (const candidate of world.candidates.values()) {
    const { entry, path } = candidate.file;
    if (entry.kind !== 'file' && entry.kind !== 'executable') continue;
    const parsed = parseAction(await opsRepo.read(entry.oid), path);
    if (parsed.ok && parsed.value.depends_on.length > 0) edges.set(candidate.id, parsed.value.depends_on);
  }
  // Git is asked for the order only where there is a circle at all.
  if (lastOfEachCycle(edges, () => 0).size === 0) return new Set();
  const places = await placesOf(edges.keys(), world, opsRepo);
  return lastOfEachCycle(edges, (id) => places.get(id) ?? 0);
}

/** Of each id the place on the branch of the commit that set its present bytes. */
async function placesOf(
  ids: Iterable<string>,
  { candidates, tips }: World,
  opsRepo: OpsRepo,
): Promise<ReadonlyMap<string, number>> {
  const some = [...ids].flatMap((id) => candidates.get(id) ?? []);
  const line = await historyOf(
    some.map(({ file }) => file.path),
    tips.tip,
    opsRepo,
  );
  const places = new Map(line.map(({ commit }, place) => [commit, place]));
  return new Map(some.map(({ id, commit }) => [id, places.get(commit) ?? 0]));
}

/** Pure: `edges` from an id to what it waits for; the later its place, the younger. An id on several circles is named once. */
export function lastOfEachCycle(
  edges: ReadonlyMap<string, readonly string[]>,
  place: (id: string) => number,
): ReadonlySet<string> {
  const last = new Set<string>();
  const reaches = (from: string, goal: string): boolean => {
    const seen = new Set<string>();
    const open = [...(edges.get(from) ?? [])];
    for (let id = open.pop(); id !== undefined; id = open.pop()) {
      if (id === goal) return true;
      if (seen.has(id) || last.has(id)) continue;
      seen.add(id);
      open.push(...(edges.get(id) ?? []));
    }
    return false;
  };
  // Youngest first: once it is taken out, the circles it was on are open.
  const youngestFirst = [...edges.keys()].toSorted((a, b) => {
    const order = place(b) - place(a);
    return order === 0 ? b.localeCompare(a) : order;
  });
  for (const id of youngestFirst) if (reaches(id, id)) last.add(id);
  return last;
}
