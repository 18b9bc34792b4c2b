import type { Log } from '../ports/log.ts';
import type { StoryContext } from '../story/context.ts';
import type { World } from '../story/world.ts';

const reported = new WeakSet<World>();
/** Gated files that were told, by what is the matter with them: each new tip is another world. */
const told = new WeakMap<Log, Set<string>>();

/** What is wrong at the tip but belongs to no action; said once for each change of the world. */
export function reportOddities(world: World, context: StoryContext): void {
  if (reported.has(world)) return;
  reported.add(world);
  for (const entry of world.catalogue.misnamed()) {
    context.log.warn('not an action: its name is no id', { code: 'ERR_FILE_NAME', path: entry.path });
  }
  for (const candidate of world.candidates.values()) {
    for (const path of candidate.duplicates) {
      context.log.warn('a second action with this id is ignored', {
        code: 'ERR_ACTION_DUPLICATE',
        id: candidate.id,
        path,
      });
    }
  }
  const before = told.get(context.log) ?? new Set();
  const now = new Set<string>();
  told.set(context.log, now);
  for (const edit of world.inForce.pending) {
    const key = `${edit.path} ${edit.blob} ${edit.reason.code} ${edit.reason.message}`;
    now.add(key);
    if (before.has(key)) continue;
    context.log.warn('a gated file is not in force', {
      code: edit.reason.code,
      path: edit.path,
      reason: edit.reason.message,
    });
  }
  for (const { path, message } of world.journal.damaged)
    context.log.warn('damaged journal file', { path, reason: message });
}
