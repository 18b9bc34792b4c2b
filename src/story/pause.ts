import type { Reason } from '../domain/run.ts';
import { printable } from '../domain/text.ts';
import { EdgeError } from '../errors.ts';
import type { StoryContext } from './context.ts';
import { reason } from './reasons.ts';
import type { World } from './world.ts';

/** Why nothing new is claimed, by anybody's wish, and how to go on; null: nobody asked for it. */
export async function pauseReason(world: World, context: StoryContext): Promise<Reason | null> {
  const paused = await context.control.paused();
  if (paused === null) return branchPause(world, context);
  const message = `${paused.by} paused the dispatcher at ${paused.at}`;
  return reason('ERR_PAUSED', message, paused.by, `Run \`resume\` where ${context.settings.dispatcher} runs.`);
}

/** The branch's own wish: by which commit, whose author is what that commit claims. null: there is no PAUSE file. */
export async function branchPause(world: World, context: StoryContext): Promise<Reason | null> {
  if (!world.pausedByBranch) return null;
  const known = told.get(world);
  if (known !== undefined) return known;
  const found = await find(world, context);
  told.set(world, found);
  return found;
}

/** Whoever may push may put it beside the folder of actions. */
export function pauseFileOf(actionsDir: string): string {
  return `${actionsDir.slice(0, actionsDir.lastIndexOf('/') + 1)}PAUSE`;
}

/** The file stays as it is within one world. */
const told = new WeakMap<World, Reason>();

async function find(world: World, { settings, opsRepo }: StoryContext): Promise<Reason> {
  const file = pauseFileOf(settings.actionsDir);
  const hint = `Remove ${file} from ${settings.branch}.`;
  const { tip } = world.tips;
  try {
    const setter = (await opsRepo.lastChanged(tip, [file])).get(file);
    if (setter !== undefined) {
      const { author } = await opsRepo.commit(setter.commit);
      const who = `${printable(author.name)} (commit ${setter.commit.slice(0, 12)}, ${setter.committedAt})`;
      return reason('ERR_PAUSED', `the branch holds ${file}, of ${who}`, null, hint);
    }
  } catch (error) {
    // Who it was is worth no more than a word: the pause holds all the same.
    if (!(error instanceof EdgeError)) throw error;
  }
  return reason('ERR_PAUSED', `the branch holds ${file}`, null, hint);
}
