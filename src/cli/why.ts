import { Command } from 'commander';
import type { Plan } from '../domain/plan.ts';
import { InvalidError } from '../errors.ts';
import { plannedAt } from '../story/planned.ts';
import type { Candidate } from '../story/world.ts';
import type { CliCommand } from './command.ts';
import { candidateOf, type Explained, explainBegun, explainWaiting } from './explain-action.ts';
import { EXIT, type ExitCode, type GlobalOptions, type Io, printJson, printLine } from './io.ts';
import { type Observed, observe } from './observe.ts';
import { classOf } from './observed-action.ts';
import { type DoubtfulCancel, doubtfulCancels } from './observed-cancel.ts';
import { planOne, printFacts, printTagCommand } from './plan-facts.ts';
import { isSidecarText } from './sidecar-target.ts';
import type { ExplainedIssue } from './why-issue.ts';
import { printExplained, printResults } from './why-print.ts';
import { explainForAllRules, explainSidecar } from './why-sidecar.ts';

export function whyCommand(): CliCommand {
  const command = new Command('why')
    .description('why an action or sidecar is where it is: each step with its evidence')
    .argument('<id>', 'id of the action; or sidecar/<formula>-<issue>, or <owner>/<repo>#<issue>');
  return { command, run: (io, options, [id]) => why(io, options, String(id)) };
}

interface Told extends Explained {
  /** The committed cancel request that does not count (yet). */
  readonly cancel: DoubtfulCancel | null;
  /** Of an action that waits, what `plan` says of its file; null: it waits no more, or its file can't be read. */
  readonly plan: Plan | null;
}

async function why(io: Io, options: GlobalOptions, id: string): Promise<ExitCode> {
  return observe(io, options, async (observed) => {
    if (isSidecarText(id)) return whySidecar(io, options, id, observed);
    if (id.includes('#')) return whyIssue(io, options, id, observed);
    const action = await explainWithPlan(id, observed, io.signal);
    const explained = { ...action, cancel: (await doubtfulCancels(observed, io.signal, id))[0] ?? null };
    if (options.json === true) printJson(io, explained);
    else printAction(io, explained, observed);
    return exitOf([explained]);
  });
}

function exitOf(explained: readonly Explained[]): ExitCode {
  const isAway = explained.some(({ reason }) => classOf(reason?.code ?? '') === 'transient');
  return isAway ? EXIT.unreachable : EXIT.ok;
}

// Actions

async function explainWithPlan(id: string, observed: Observed, signal: AbortSignal): Promise<Omit<Told, 'cancel'>> {
  const begun = await explainBegun(id, observed, signal);
  if (begun !== null) return { ...begun, plan: null };
  const candidate = candidateOf(id, observed);
  return {
    ...(await explainWaiting(candidate, observed, signal)),
    plan: await planOf(candidate, observed, signal),
  };
}

/** null: what lies there is no regular file, or too large to be read. */
async function planOf({ file }: Candidate, observed: Observed, signal: AbortSignal): Promise<Plan | null> {
  const { entry, path } = file;
  if (entry.kind !== 'file' && entry.kind !== 'executable') return null;
  try {
    const bytes = await observed.context.opsRepo.read(entry.oid);
    return await planOne(plannedAt(path, bytes, observed.context), observed, signal);
  } catch (error) {
    if (error instanceof InvalidError && error.code === 'ERR_FILE_SIZE') return null;
    throw error;
  }
}

function printAction(io: Io, explained: Told, observed: Observed): void {
  printExplained(io, explained, explained.cancel, observed.context.clock.now());
  if (explained.plan === null) return;
  printLine(io);
  printFacts(io, explained.plan);
  printTagCommand(io, explained.plan, observed);
}

// Sidecars

async function whySidecar(io: Io, options: GlobalOptions, given: string, observed: Observed): Promise<ExitCode> {
  const explained = await explainSidecar(given, observed, io.signal);
  if (options.json === true) printJson(io, { ...explained, cancel: null, plan: null });
  else printSidecar(io, explained, observed);
  return exitOf([explained]);
}

async function whyIssue(io: Io, options: GlobalOptions, given: string, observed: Observed): Promise<ExitCode> {
  const explained = await explainForAllRules(given, observed, io.signal);
  if (options.json === true) printJson(io, { rules: explained });
  else {
    for (const [index, one] of explained.entries()) {
      if (index > 0) printLine(io);
      printSidecar(io, one.state === 'unmatched' ? briefly(one) : one, observed);
    }
  }
  return exitOf(explained);
}

/** Of an issue that is no work for one rule of several, what would have to be another. */
function briefly(explained: Explained): Explained {
  return { ...explained, steps: explained.steps.filter(({ state }) => state === 'waiting') };
}

function printSidecar(io: Io, explained: Explained | ExplainedIssue, observed: Observed): void {
  const now = observed.context.clock.now();
  printExplained(io, explained, null, now);
  if ('results' in explained) printResults(io, explained, now);
}
