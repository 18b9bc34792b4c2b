import type { AnnouncedAction, Announcement, Fate, Progress } from '../../domain/announcement.ts';
import type { Change } from '../../domain/change.ts';
import { filePage } from '../../domain/forge-pages.ts';
import { emptyPlan, type Plan } from '../../domain/plan.ts';
import { InvalidError } from '../../errors.ts';
import type { Forge } from '../../ports/forge.ts';
import type { TreeEntry } from '../../ports/ops-repo.ts';
import type { StoryContext } from '../../story/context.ts';
import { pauseReason } from '../../story/pause.ts';
import { planAction } from '../../story/plan-action.ts';
import { afterPush, type Planned, plannedAt } from '../../story/planned.ts';
import { reason } from '../../story/reasons.ts';
import { readResult } from '../../story/record-result.ts';
import type { Board } from '../board.ts';
import { announcedFile } from './gated.ts';
import { type Reviews, withReviews } from './reviews.ts';
import type { Touched } from './touched.ts';

export interface AnnounceSettings {
  readonly policyFile: string;
  /** Names of `[mounts]`. */
  readonly mounts: readonly string[];
  readonly bots: readonly string[];
  readonly forgeAdmins: boolean;
}

export interface DescribeTools {
  readonly context: StoryContext;
  readonly board: Pick<Board, 'line'>;
  readonly forge: Forge;
  readonly settings: AnnounceSettings;
  readonly signal: AbortSignal;
}

/** So many plans fill a comment; of the others only what is wrong with their files is told. */
const PLANS = 60;

/** What a change that is not merged would do. Errors: those of the ops repo. */
export async function describeProposal(
  change: Change,
  touched: Touched,
  reviews: Reviews | null,
  tools: DescribeTools,
): Promise<Announcement> {
  const { context, forge, settings } = tools;
  const plans = await planAll(change, touched, tools);
  const terms = { ...settings, url: forge.url };
  const actions: AnnouncedAction[] = [];
  for (const plan of plans) {
    const reviewed = reviews === null ? plan : await withReviews(plan, reviews, terms, context);
    actions.push({ plan: reviewed, progress: { kind: 'proposed' } });
  }
  return { ...(await frameOf(change, touched, tools)), actions };
}

/** What became of a change after its merge; `plans` of its actions by path. Errors: those of the ops repo. */
export async function describeMerged(
  change: Change,
  touched: Touched,
  plans: readonly Plan[],
  tools: DescribeTools,
): Promise<Announcement> {
  const actions: AnnouncedAction[] = [];
  for (const plan of plans) actions.push({ plan, progress: await progressOf(plan, change, tools) });
  return { ...(await frameOf(change, touched, tools)), actions };
}

/** Nothing is left that could still change. */
export function isOver({ actions, files }: Announcement): boolean {
  return !actions.some(({ progress }) => isOpen(progress)) && !files.some(({ standing }) => standing === 'waiting');
}

function isOpen(progress: Progress): boolean {
  if (progress.kind === 'replaced') return isOpen(progress.by);
  return ['proposed', 'waiting', 'running'].includes(progress.kind);
}

async function frameOf(change: Change, touched: Touched, { context, settings }: DescribeTools) {
  const isMerged = change.state === 'merged';
  const files: Announcement['files'][number][] = [];
  for (const file of touched.gated) files.push(await announcedFile(file, isMerged, settings.policyFile, context));
  return { root: context.world().tips.root, state: change.state, files, omitted: touched.omitted };
}

/** A plan of each action that the change brings, as if all of it were pushed now. */
export async function planAll(change: Change, touched: Touched, tools: DescribeTools): Promise<readonly Plan[]> {
  const { context, settings, signal } = tools;
  const read: (Plan | Planned)[] = [];
  for (const entry of touched.actions) read.push(await readEntry(entry, context));
  const planned = read.filter((each): each is Planned => 'bytes' in each);
  const view = afterPush(planned, context, change.state === 'open' ? gatedEdits(change, touched) : []);
  const paused = await pauseReason(context.world(), context);
  const plans: Plan[] = [];
  for (const each of read) {
    if (!('bytes' in each)) plans.push(each);
    else if (plans.length < PLANS)
      plans.push(await planAction(each, view, { mounts: settings.mounts, paused, signal }));
    else plans.push(emptyPlan(each));
  }
  return plans;
}

/** What is no regular file, or too large, is told and not read. */
async function readEntry(entry: TreeEntry, context: StoryContext): Promise<Plan | Planned> {
  const broken = (code: 'ERR_FILE_KIND' | 'ERR_FILE_SIZE', message: string): Plan => {
    const check = { name: 'action', ok: false, code, message, fix: null };
    return { ...emptyPlan({ id: null, path: entry.path, blob: entry.oid, committed: false }), checks: [check] };
  };
  if (entry.kind !== 'file' && entry.kind !== 'executable') {
    return broken('ERR_FILE_KIND', `it is a ${entry.kind}, not a regular file`);
  }
  try {
    return plannedAt(entry.path, await context.opsRepo.read(entry.oid), context);
  } catch (error) {
    if (error instanceof InvalidError) return broken('ERR_FILE_SIZE', error.message);
    throw error;
  }
}

/** A formula that comes along with the actions is not in force yet. */
function gatedEdits({ head, number }: Change, { gated }: Touched) {
  return gated.flatMap(({ path, entry }) => {
    if (entry === null) return [];
    const message = `${path} comes with change ${number} itself and has to be approved at the high tier`;
    return [{ path, blob: entry.oid, commit: head, reason: { code: 'ERR_FORMULA_UNAPPROVED' as const, message } }];
  });
}

async function progressOf(plan: Plan, change: Change, tools: DescribeTools): Promise<Progress> {
  const { context, board } = tools;
  const world = context.world();
  const id = plan.id ?? '';
  const recorded = world.catalogue.result(id);
  if (recorded !== null) return endOf(recorded, plan, change, tools);
  const candidate = world.candidates.get(id);
  const line = board.line(id);
  if (line !== undefined && line.state !== 'pending') {
    // What was claimed runs on, whatever lies on the branch now.
    const blob = context.journal.view().entries.get(id)?.blob ?? candidate?.file.entry.oid;
    return ofBytes(blob ?? plan.blob, plan, { kind: 'running', step: line.state });
  }
  if (candidate === undefined) return notThere(change, context);
  const { code, message, hint } = line?.reason ?? reason('ERR_SLOT', 'its turn has not come yet');
  return ofBytes(candidate.file.entry.oid, plan, { kind: 'waiting', code, message, hint });
}

/** Gone from the branch, or the forge tells of a merge before git was asked again. */
async function notThere({ merge }: Change, { opsRepo, world }: StoryContext): Promise<Progress> {
  const isSeen = merge === null || (await opsRepo.isAncestor(merge.commit, world().tips.tip));
  if (isSeen) return { kind: 'withdrawn' };
  const soon = reason('ERR_SLOT', 'it is merged, and the dispatcher looks at the branch again in a moment');
  return { kind: 'waiting', code: soon.code, message: soon.message, hint: soon.hint };
}

function ofBytes(blob: string, plan: Plan, fate: Fate): Progress {
  return blob === plan.blob ? fate : { kind: 'replaced', by: fate };
}

async function endOf(recorded: TreeEntry, plan: Plan, change: Change, tools: DescribeTools): Promise<Progress> {
  const { context, forge } = tools;
  const whose = (await context.ownResults.judge(context.world().tips.tip, [recorded])).get(recorded.path);
  const result = whose?.kind === 'foreign' ? null : await readResult(recorded.oid, context.opsRepo);
  if (result === null) {
    const { code, message, hint } = reason(
      'ERR_FOREIGN_RESULT',
      'somebody else wrote what lies at the place of its result',
    );
    return { kind: 'waiting', code, message, hint };
  }
  const { path } = recorded;
  return ofBytes(result.action.blob ?? plan.blob, plan, {
    kind: 'ended',
    outcome: result.outcome,
    exitCode: result.exit_code,
    reason: result.reason === null ? null : { code: result.reason.code, message: result.reason.message },
    at: result.timestamp,
    approvedBy: [...new Set(result.approval?.evidence.map(({ by }) => by) ?? [])],
    page: filePage(forge.kind, change.url, context.settings.branch, path),
    path,
  });
}
