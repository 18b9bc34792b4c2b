import type { AttemptRecord } from '../domain/attempt-record.ts';
import { isSidecarId, sha256 } from '../domain/ids.ts';
import type { JournalEntry } from '../domain/journal.ts';
import { StalledError, TransientError, toError } from '../errors.ts';
import type { StoryContext } from '../story/context.ts';
import { forgetRun } from '../story/follow-run.ts';
import type { World } from '../story/world.ts';
import type { Tasks } from './tasks.ts';

/**
 * There is no recovery program: what was claimed and is not being worked on goes on from wherever it stopped. Called at
 * the start and in every cycle, so that a story that broke off is taken up again too.
 */
export async function resumeOwn(world: World, tasks: Tasks, context: StoryContext): Promise<void> {
  const { dispatcher, instance } = context.settings;
  // Not the world's view: that is as old as the last look, and the attempt may have ended since.
  for (const entry of context.journal.view().entries.values()) {
    if (entry.dispatcher !== dispatcher || entry.instance !== instance) continue;
    if (tasks.has(entry.id) || tasks.resting(entry.id) !== null) continue;
    const record = await noteOf(entry, world, context);
    if (record === null) continue;
    const recorded = await isRecorded(entry, world, context);
    if (recorded !== null) takeUp({ ...record, claimed: true, entry }, recorded, { world, tasks, context });
  }
}

/**
 * Its result is in the repo, or was once. A foreign one ends no run of ours. null: whose it is can't be found out now.
 */
async function isRecorded(entry: JournalEntry, world: World, context: StoryContext): Promise<boolean | null> {
  const result = world.catalogue.result(entry.id);
  if (result === null) return world.everRecorded(entry.id);
  try {
    return (await context.ownResults.judge(world.tips.tip, [result])).get(result.path)?.kind === 'own';
  } catch (error) {
    if (error instanceof TransientError || error instanceof StalledError) return null;
    throw error;
  }
}

/** null: the note is there and can't be read now. That is no reason to end its run, or to hold up the others. */
async function noteOf(entry: JournalEntry, world: World, context: StoryContext): Promise<AttemptRecord | null> {
  try {
    return (await context.records.load(entry.token)) ?? recordOfEntry(entry, world, context);
  } catch (error) {
    if (!(error instanceof TransientError || error instanceof StalledError)) throw error;
    const { code, message } = error;
    sayOnce(world, entry.id, () => {
      context.log.warn('cannot read the note of an attempt', { id: entry.id, code, reason: message });
    });
    return null;
  }
}

/**
 * At the start: attempts that this host knows to have been claimed, but that the journal has lost, are claimed again
 * before anything else; notes of what was minted and never claimed go when their time is over.
 */
export async function reclaimLost(world: World, context: StoryContext): Promise<void> {
  for (const record of await context.records.all()) {
    const { entry } = record;
    if (entry.dispatcher !== context.settings.dispatcher || world.journal.entries.has(entry.id)) continue;
    const now = context.clock.now();
    const ended = world.journal.ended.has(entry.id);
    if (record.claimed && !ended) {
      const again = { ...entry, instance: context.settings.instance };
      const answer = await context.journal.claim(again, { groupLimit: Infinity, replaces: null, now });
      context.log.warn('the journal had lost an attempt of ours', { id: entry.id, answer });
    } else if (ended || now > new Date(record.grant.expires_at)) {
      await tidy(record, context);
    }
  }
}

async function tidy(record: AttemptRecord, context: StoryContext): Promise<void> {
  try {
    await forgetRun(record, context);
  } catch (error) {
    context.log.warn('could not tidy up an old attempt', { id: record.entry.id, err: toError(error) });
  }
}

interface Place {
  readonly world: World;
  readonly tasks: Tasks;
  readonly context: StoryContext;
}

function takeUp(record: AttemptRecord, isOver: boolean, { world, tasks, context }: Place): void {
  const { id } = record.entry;
  if (record.entry.engine !== context.engine.kind) {
    const { engine } = record.entry;
    sayOnce(world, id, () => {
      context.log.error('an attempt of another engine is left alone', { id, code: 'ERR_BACKEND_MISMATCH', engine });
    });
    return;
  }
  if (isOver) tasks.bury(record);
  else if (!record.unstarted || isSidecarId(id)) tasks.resume(record);
  else if (!world.candidates.has(record.entry.id)) tasks.bury(record);
}

const said = new WeakMap<World, Set<string>>();

/** What holds for as long as nothing changes is not said in every cycle. */
function sayOnce(world: World, id: string, say: () => void): void {
  const ids = said.get(world) ?? new Set();
  said.set(world, ids);
  if (ids.has(id)) return;
  ids.add(id);
  say();
}

/** All that the journal alone can tell: without this host's note the run is followed, but its output proves nothing. */
function recordOfEntry(entry: JournalEntry, world: World, context: StoryContext): AttemptRecord {
  const file = world.catalogue.files(entry.id)[0];
  const accessor = entry.accessors[0] ?? sha256(entry.token);
  return {
    v: 1,
    entry,
    claimed: true,
    request: null,
    unstarted: false,
    trailer_key: context.clock.key(),
    grant: { accessor, policies: [], issued_at: entry.claimed_at, expires_at: entry.claimed_at, revoked_at: null },
    action: {
      path: file?.path ?? pathOf(entry, context),
      blob: entry.blob,
      commit: world.candidates.get(entry.id)?.commit ?? null,
      sha256: null,
      committed_at: entry.claimed_at,
    },
    formula: null,
    approval: null,
    dispatched_at: null,
    attempts: [],
    ...(entry.sidecar === undefined ? {} : { sidecar: entry.sidecar }),
  };
}

/** Of an action's file that is gone, where it would lie; of a sidecar, its project file. */
function pathOf({ id, sidecar }: JournalEntry, { settings }: StoryContext): string {
  return isSidecarId(id) ? (sidecar?.project ?? '') : `${settings.actionsDir}/${id}.toml`;
}
