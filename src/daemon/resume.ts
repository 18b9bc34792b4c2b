import { type AttemptRecord, isResting } from '../domain/attempt-record.ts';
import { isSidecarId, sha256 } from '../domain/ids.ts';
import { AWAITS_ADOPTION, type JournalEntry } from '../domain/journal.ts';
import { StalledError, TransientError, toError } from '../errors.ts';
import type { StoryContext } from '../story/context.ts';
import { forgetRun } from '../story/follow-run.ts';
import { mayComeAgain } from '../story/retry.ts';
import { claimedNotes } from '../story/retry-notes.ts';
import type { World } from '../story/world.ts';
import { ownHolder } from './peers.ts';
import type { Tasks } from './tasks.ts';

/**
 * There is no recovery program: what was claimed and is not being worked on goes on from wherever it stopped. Called at
 * the start and in every cycle, so that a story that broke off is taken up again too.
 */
export async function resumeOwn(world: World, tasks: Tasks, context: StoryContext): Promise<void> {
  const { dispatcher, instance } = context.settings;
  await adoptGiven(context);
  await forgetEnded(world, tasks, context);
  // Not the world's view: that is as old as the last look, and the attempt may have ended since.
  const isLeft = ({ id }: JournalEntry): boolean => !tasks.has(id) && tasks.resting(id) === null;
  const own = [...context.journal.view().entries.values()].filter(
    (entry) => entry.dispatcher === dispatcher && entry.instance === instance && isLeft(entry),
  );
  // Many at a time, so that the engine is asked for them by few lists.
  for (let at = 0; at < own.length; at += TOGETHER) {
    const some = own.slice(at, at + TOGETHER);
    await Promise.all(
      some.map(async (entry) => {
        const record = await noteOf(entry, world, context);
        const recorded = record === null ? null : await isRecorded(entry, world, context);
        if (record === null || recorded === null || !isLeft(entry)) return;
        takeUp({ ...record, claimed: true, entry }, recorded, { world, tasks, context });
      }),
    );
  }
}

const TOGETHER = 250;

/** What `doctor --take-over` gave us. */
async function adoptGiven(context: StoryContext): Promise<void> {
  const { journal, log, settings } = context;
  const given = [...journal.view().entries.values()].filter(
    (entry) => entry.dispatcher === settings.dispatcher && entry.instance === AWAITS_ADOPTION,
  );
  if (given.length === 0) return;
  const adopted = await journal.adoptGiven(ownHolder(context));
  const ids = given.filter(({ id }) => adopted.some((entry) => entry.id === id)).map(({ id }) => id);
  if (ids.length > 0) log.warn('took over what the operator gave to this dispatcher', { ids });
}

/** Of attempts that others took over and ended, what this host kept goes when the end is seen. */
async function forgetEnded(world: World, tasks: Tasks, context: StoryContext): Promise<void> {
  const { ended } = context.journal.view();
  const before = forgotten.get(tasks);
  if (before?.whole === ended) return;
  const tokens = new Set<string>();
  for (const { id, token } of ended.values()) {
    if (before !== undefined && !before.tokens.has(token)) {
      // Its own task sees to it, or leaves it to the next look.
      if (tasks.has(id) || !world.everRecorded(id)) continue;
      const record = await context.records.load(token).catch(() => null);
      if (record !== null) await tidy(record, context);
    }
    tokens.add(token);
  }
  forgotten.set(tasks, { tokens, whole: tokens.size === ended.size ? ended : null });
}

interface Forgotten {
  /** Of the tombstones that were looked at; those from before the start, `reclaimLost` has seen to. */
  readonly tokens: ReadonlySet<string>;
  /** The journal's tombstones, where all of them were. */
  readonly whole: ReadonlyMap<string, unknown> | null;
}

const forgotten = new WeakMap<Tasks, Forgotten>();

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
  const records = await context.records.all();
  const claimed = claimedNotes(records);
  for (const record of records) {
    const { entry } = record;
    const last = claimed.get(entry.id);
    const replaces = placeOf(entry, last, world);
    if (entry.dispatcher !== context.settings.dispatcher || replaces === undefined) continue;
    const now = context.clock.now();
    const ended = world.journal.ended.has(entry.id);
    // What this host holds of an attempt before the last one says nothing that the last one's note does not.
    if (last !== undefined && entry.attempt < last.entry.attempt && !ended) continue;
    if (last === record && !ended) {
      const again = { ...entry, instance: context.settings.instance };
      const answer = await context.journal.claim(again, { groupLimit: Infinity, replaces, now });
      context.log.warn('the journal had lost an attempt of ours', { id: entry.id, answer });
    } else if (ended || now > new Date(record.grant.expires_at)) {
      await tidy(record, context);
    }
  }
}

/** Token of an older attempt that the journal was put back to; null: it knows nothing of the id; undefined: nothing is lost. */
function placeOf({ id, dispatcher }: JournalEntry, last: AttemptRecord | undefined, { journal }: World) {
  const held = journal.entries.get(id);
  if (held === undefined) return null;
  const isOlder = held.dispatcher === dispatcher && last?.claimed === true && held.attempt < last.entry.attempt;
  return isOlder ? held.token : undefined;
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
  if (isResting(record) && !isOver) {
    // While its next attempt may come, it is judged with all that is pending.
    if (!mayComeAgain(record, world, context.engine.kind)) tasks.resume(record);
    return;
  }
  if (record.entry.engine !== context.engine.kind) {
    const { engine } = record.entry;
    sayOnce(world, id, () => {
      context.log.error('an attempt of another engine is left alone', { id, code: 'ERR_BACKEND_MISMATCH', engine });
    });
    return;
  }
  if (isOver) tasks.bury(record);
  else if (!record.unstarted || isSidecarId(id) || !world.candidates.has(id)) tasks.resume(record);
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
