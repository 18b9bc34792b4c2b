import type { Oid } from '../domain/ids.ts';
import { encodeResult, type Result, resultSchema } from '../domain/result.ts';
import { StalledError, TransientError } from '../errors.ts';
import type { OpsRepo } from '../ports/ops-repo.ts';
import { resultPathOf } from './catalogue.ts';
import type { Ending, StoryContext } from './context.ts';
import { reason } from './reasons.ts';

/**
 * Step 9, first half: is the result in the repo? Create-only: a result that is there already is never overwritten. Safe
 * to repeat; after a crash the result of the same attempt that landed before counts as ours.
 */
export async function publishResult(result: Result, context: StoryContext): Promise<Ending> {
  const path = resultPathOf(result.id, result.action.path, context.settings.sidecarsDir);
  const answer = await context.opsRepo.publish({ path, content: encodeResult(result) }, subjectOf(result));
  if (answer.kind === 'landed') return { kind: 'recorded', result };
  const there = await readResult(answer.blob, context.opsRepo);
  // Whoever reads the journal knows the token of the attempt: only a result of ours says that this end is recorded.
  if (there !== null && sameEnd(there, result) && (await isOurs(path, answer.blob, context))) {
    return { kind: 'recorded', result: there };
  }
  const who = there?.attempt?.dispatcher ?? 'somebody else';
  return {
    kind: 'conflict',
    reason: reason('ERR_RESULT_CONFLICT', `${path} holds another result, of ${who}; ours is ${result.outcome}`),
  };
}

/** The result of the same attempt, if it is in the repo and we wrote it. Errors: TransientError, StalledError. */
export async function recordedBefore(result: Result, context: StoryContext): Promise<Result | null> {
  const { opsRepo, settings } = context;
  const path = resultPathOf(result.id, result.action.path, settings.sidecarsDir);
  const { tip } = await opsRepo.refresh();
  const entry = await opsRepo.entryAt(tip, path);
  const there = entry === null ? null : await readResult(entry.oid, opsRepo);
  if (entry === null || there === null || !sameEnd(there, result)) return null;
  if (there.attempt?.dispatcher !== settings.dispatcher) return null;
  return (await isOurs(path, entry.oid, context)) ? there : null;
}

async function isOurs(path: string, blob: Oid, { opsRepo, ownResults }: StoryContext): Promise<boolean> {
  if (!ownResults.areSigned) return true;
  // The world may be older than what lies there.
  const { tip } = await opsRepo.refresh();
  const entry = await opsRepo.entryAt(tip, path);
  if (entry?.oid !== blob) return false;
  return (await ownResults.judge(tip, [entry])).get(path)?.kind === 'own';
}

function subjectOf(result: Result): string {
  return `${result.id}: ${result.outcome}${result.outcome === 'succeeded' ? '' : ` (${result.exit_code})`}`;
}

/** null: what lies there is no result that can be read. Errors: TransientError, StalledError of the ops repo. */
export async function readResult(blob: Oid, opsRepo: OpsRepo): Promise<Result | null> {
  try {
    return resultSchema.parse(JSON.parse(Buffer.from(await opsRepo.read(blob)).toString('utf8')));
  } catch (error) {
    if (error instanceof TransientError || error instanceof StalledError) throw error;
    return null;
  }
}

/** Same attempt, or both without one and for the same reason: two records of one end, whatever their times. */
function sameEnd(a: Result, b: Result): boolean {
  if (a.id !== b.id || a.action.blob !== b.action.blob) return false;
  if (a.attempt === null || b.attempt === null) return a.attempt === b.attempt && a.outcome === b.outcome;
  return a.attempt.token === b.attempt.token;
}
