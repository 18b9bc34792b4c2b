import { Command } from 'commander';
import type { DaemonState } from '../domain/daemon-state.ts';
import type { Reason } from '../domain/run.ts';
import { branchPause } from '../story/pause.ts';
import { recentResults } from '../story/recent-results.ts';
import type { CliCommand } from './command.ts';
import { describeForeign, foreignAmong } from './foreign-action.ts';
import { EXIT, type ExitCode, type GlobalOptions, type Io, paint, printJson, printLine, quoted } from './io.ts';
import { ago, margin, printBeside, stateColour } from './layout.ts';
import { type Observed, observe } from './observe.ts';
import {
  classOf,
  describeEnded,
  describeWaiting,
  judgeAll,
  liveEntries,
  type ObservedAction,
  waitingCandidates,
} from './observed-action.ts';
import { doubtfulCancels } from './observed-cancel.ts';
import { describeLive } from './observed-live.ts';
import { describeWanted, type SidecarSummary, seeIssues } from './observed-sidecars.ts';
import { statusWithoutGit } from './status-away.ts';
import { daemonSays, printDaemonSays } from './status-daemon.ts';
import { printSidecars } from './status-sidecars.ts';

export function statusCommand(): CliCommand {
  const command = new Command('status').description(
    'actions and sidecars in flight, waiting (and for what), and recent results',
  );
  return { command, run: status };
}

async function status(io: Io, options: GlobalOptions): Promise<ExitCode> {
  try {
    return await observe(io, options, async (observed) => {
      const seen = await overview(observed, io.signal);
      if (options.json === true) printJson(io, seen);
      else printOverview(io, seen, observed);
      return isUnreachable(seen) ? EXIT.unreachable : EXIT.ok;
    });
  } catch (error) {
    return statusWithoutGit(error, io, options);
  }
}

const RECENT = 20;
/** Results are recorded in about the order of their ends. */
const RECENT_COMMITS = 40;

interface Oddity {
  readonly path: string;
  readonly code: string;
  readonly message: string;
}

interface Overview {
  readonly in_flight: readonly ObservedAction[];
  readonly waiting: readonly ObservedAction[];
  readonly recent: readonly ObservedAction[];
  /** How each rule for issues stands. */
  readonly sidecars: readonly SidecarSummary[];
  /** Files that do nothing although somebody may think so: misnamed, second of an id, not in force, damaged. */
  readonly oddities: readonly Oddity[];
  readonly paused: { readonly by: string; readonly at: string } | null;
  /** The branch holds a PAUSE file. */
  readonly paused_by_branch: boolean;
  /** By which commit it does, and how to go on; null: it does not. */
  readonly pause_file: Reason | null;
  readonly daemon: { readonly pid: number; readonly host: string } | null;
  /** What only the daemon knows of itself, as it said a moment ago; null: none runs here, or it says nothing. */
  readonly daemon_says: DaemonState | null;
  readonly tip: string;
}

async function overview(observed: Observed, signal: AbortSignal): Promise<Overview> {
  const { context, daemon } = observed;
  const world = observed.world();
  const candidates = await waitingCandidates(observed);
  const issues = await seeIssues(observed, signal);
  const verdicts = await judgeAll(candidates, observed, signal, issues.wanted.ready);
  const waiting: ObservedAction[] = [];
  for (const candidate of candidates) {
    const verdict = verdicts.get(candidate.id);
    if (verdict !== undefined) waiting.push(await describeWaiting(candidate, verdict, observed));
  }
  const inFlight: ObservedAction[] = [];
  for (const entry of await liveEntries(observed)) inFlight.push(await describeLive(entry, observed));
  const { foreign, recent } = await newestResults(observed, signal);
  const live = new Set(inFlight.map(({ id }) => id));
  return {
    in_flight: inFlight,
    waiting: [...waiting, ...foreign.filter(({ id }) => !live.has(id)), ...describeWanted(issues, verdicts, observed)],
    recent,
    sidecars: issues.summaries,
    oddities: [...odditiesOf(observed), ...(await doubtfulCancels(observed, signal))],
    paused: await context.control.paused(),
    paused_by_branch: world.pausedByBranch,
    pause_file: await branchPause(world, context),
    daemon: daemon === null ? null : { pid: daemon.pid, host: daemon.host },
    daemon_says: await daemonSays(observed),
    tip: world.tips.tip,
  };
}

/** `foreign`: actions whose result nobody of ours wrote; they have not ended. Older ones are told by `verify`. */
async function newestResults(observed: Observed, signal: AbortSignal) {
  const results = await recentResults(observed.context, RECENT_COMMITS);
  const byOthers = await foreignAmong(
    results.map(({ entry }) => entry),
    observed,
    signal,
  );
  const ended: ObservedAction[] = [];
  const foreign: ObservedAction[] = [];
  for (const { id, entry } of results) {
    const other = byOthers.get(entry.path);
    if (other === undefined) ended.push(await describeEnded(id, entry, observed));
    else foreign.push(await describeForeign(id, other, observed));
  }
  const recent = ended.toSorted((a, b) => (b.since ?? '').localeCompare(a.since ?? '')).slice(0, RECENT);
  return { foreign, recent };
}

function odditiesOf({ world }: Observed): readonly Oddity[] {
  const { catalogue, candidates, inForce, journal } = world();
  return [
    ...inForce.pending.map(({ path, reason }) => ({ path, ...reason })),
    ...catalogue.misnamed().map(({ path }) => ({ path, code: 'ERR_FILE_NAME', message: 'its name is no action id' })),
    ...[...candidates.values()].flatMap(({ id, duplicates }) =>
      duplicates.map((path) => ({ path, code: 'ERR_ACTION_DUPLICATE', message: `a second action ${id}; never run` })),
    ),
    ...journal.damaged.map(({ path, message }) => ({ path: `journal: ${path}`, code: 'ERR_INTERNAL', message })),
  ];
}

function isUnreachable({ in_flight, waiting, sidecars }: Overview): boolean {
  const reasons = [...[...in_flight, ...waiting].map(({ reason }) => reason), ...sidecars.map(({ outage }) => outage)];
  return reasons.some((reason) => reason !== null && classOf(reason.code) === 'transient');
}

function printOverview(io: Io, seen: Overview, observed: Observed): void {
  const now = observed.context.clock.now();
  printHead(io, seen, observed);
  printDaemonSays(io, seen.daemon_says, now);
  const { in_flight, waiting, recent, oddities } = seen;
  printActions(io, `In flight (${in_flight.length})`, in_flight, now);
  const shown = withoutMost(waiting);
  printActions(io, `Waiting (${waiting.length})`, shown, now);
  const more = waiting.length - shown.length;
  if (more > 0) printBeside(io, margin(2), `… and ${more} more issues; --json lists them all`, 'dim');
  printActions(io, `Recent results (${recent.length})`, recent, now);
  printSidecars(io, seen.sidecars);
  if (in_flight.length + waiting.length + recent.length === 0) printLine(io, '\nThere are no actions.');
  if (oddities.length === 0) return;
  printLine(io, `\n${paint(io, 'bold', 'Files that do nothing')}`);
  for (const { path, code, message } of oddities) printBeside(io, margin(2), `${path}: ${message} [${code}]`);
}

function printHead(io: Io, seen: Overview, { config, blind }: Observed): void {
  const { daemon, paused, pause_file: branchPaused } = seen;
  const runs = daemon === null ? 'no daemon is running here' : `running here (process ${daemon.pid})`;
  const told = blind ? 'whether a daemon is running can not be seen as this user' : runs;
  printBeside(io, margin(0), `${config.ops_repo.branch} at ${seen.tip.slice(0, 12)}, ${config.ops_repo.url}`);
  printBeside(io, margin(0), `dispatcher ${config.dispatcher.name}: ${told}`);
  if (paused !== null)
    printBeside(
      io,
      margin(0),
      `PAUSED by ${paused.by} since ${paused.at}: nothing new starts until \`resume\``,
      'yellow',
    );
  if (branchPaused !== null) {
    printBeside(
      io,
      margin(0),
      `PAUSED: ${branchPaused.message}: nothing new starts. ${branchPaused.hint ?? ''}`,
      'yellow',
    );
  }
}

function printActions(io: Io, title: string, actions: readonly ObservedAction[], now: Date): void {
  if (actions.length === 0) return;
  printLine(io, `\n${paint(io, 'bold', title)}`);
  const id = Math.min(Math.max(...actions.map((action) => action.id.length)), ID_COLUMN);
  const state = Math.max(...actions.map((action) => action.state.length));
  for (const action of actions) {
    const first = `  ${quoted(action.id).padEnd(id)}  `;
    // A long id is never cut, because people copy it: the rest of its row goes on below.
    if (action.id.length > id) printLine(io, first.trimEnd());
    const lead = action.id.length > id ? ' '.repeat(id + 4) : first;
    const painted = paint(io, stateColour(action.state), action.state.padEnd(state));
    const rest = `  ${ago(action.since, now).padEnd(6)}  ${(action.tier ?? '').padEnd(6)}  `;
    printBeside(io, { head: `${lead}${painted}${rest}`, width: id + 4 + state + rest.length }, detailOf(action));
  }
}

/** Issues that wait for a slot come in hundreds; what somebody committed is always shown. */
function withoutMost(waiting: readonly ObservedAction[]): readonly ObservedAction[] {
  const issues = waiting.filter(({ issue }) => issue !== undefined);
  const hidden = new Set(issues.slice(MOST_ISSUES));
  return waiting.filter((action) => !hidden.has(action));
}

const MOST_ISSUES = 10;
const ID_COLUMN = 24;

function detailOf(action: ObservedAction): string {
  const { reason, formula, state, issue } = action;
  const on = issue === undefined ? '' : `${issue.repo ?? ''}#${issue.number}`;
  const before = on === '' ? '' : `${on}: `;
  if (reason !== null) return `${before}${reason.message} [${reason.code}]`;
  if (state === 'ready') return `${before}starts when a daemon looks next`;
  return `${formula ?? ''}${on === '' ? '' : ` on ${on}`}${runOf(action)}`;
}

function runOf({ run, attempt, attempts, state }: ObservedAction): string {
  const most = attempts === undefined ? '' : ` of ${attempts}`;
  const tries = attempt !== null && attempt > 1 ? `, attempt ${attempt}${most}` : '';
  return run !== null && state === 'running' ? `${tries}, ${run}` : tries;
}
