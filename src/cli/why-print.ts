import type { Explained } from './explain-action.ts';
import { type Io, paint, printLine, quoted } from './io.ts';
import { ago, margin, printBeside, stateColour } from './layout.ts';
import type { DoubtfulCancel } from './observed-cancel.ts';
import type { ExplainedIssue } from './why-issue.ts';
import type { Step } from './why-steps.ts';

const STEP_COLUMN = 18;

/** State, reason and what to do about it, then each step. `cancel`: a committed request that does not count (yet). */
export function printExplained(io: Io, explained: Explained, cancel: DoubtfulCancel | null, now: Date): void {
  const { id, state, since, reason, issue } = explained;
  const on = issue === undefined ? '' : ` on ${quoted(issue.repo ?? 'issue ')}#${issue.number}`;
  const when = since === null ? '' : ` since ${since} (${ago(since, now)})`;
  printLine(io, `${paint(io, 'bold', quoted(id))}${on}: ${paint(io, stateColour(state), state)}${when}`);
  if (reason !== null) printReason(io, `${reason.message} [${reason.code}]`, reason.hint);
  else if (state === 'ready') printLine(io, '  Nothing holds it back: it starts when a daemon looks next.');
  else if (explained.issue !== undefined) printHeld(io, explained.steps);
  if (cancel !== null) printBeside(io, margin(2), `${cancel.message} [${cancel.code}]`, 'yellow');
  printLine(io);
  for (const step of explained.steps) printStep(io, step);
}

/** How the last runs on an issue ended. */
export function printResults(io: Io, { results }: ExplainedIssue, now: Date): void {
  if (results.length === 0) return;
  printLine(io, `\n${paint(io, 'bold', 'Last results')}`);
  const width = Math.max(...results.map(({ id }) => id.length));
  for (const { id, outcome, exit_code, ended } of results) {
    const end = `${paint(io, stateColour(outcome), outcome)}, exit code ${exit_code}`;
    printLine(io, `  ${id.padEnd(width)}  ${end}, ${ended} (${ago(ended, now)})`);
  }
}

function printReason(io: Io, message: string, hint: string | null): void {
  printBeside(io, margin(2), message);
  if (hint !== null) printBeside(io, margin(2), hint, 'dim');
}

/** What makes an issue no work has no code. */
function printHeld(io: Io, all: readonly Step[]): void {
  const step = all.find(({ state, message, code }) => state === 'waiting' && code === null && message !== null);
  if (step !== undefined) printReason(io, step.message ?? '', step.hint);
}

function printStep(io: Io, { step, state, code, message, evidence }: Step): void {
  const head = `  ${paint(io, stateColour(state), state.padEnd(8))} ${step.padEnd(STEP_COLUMN - 2)} `;
  const width = 10 + STEP_COLUMN;
  const said = message === null ? [] : [code === null ? message : `${message} [${code}]`];
  // Only of the evidence: what a message says may have to be copied.
  const lines = [...said, ...linesOf(evidence).map(shortIds)];
  if (lines.length === 0) printLine(io, head.trimEnd());
  for (const [index, line] of lines.entries()) printBeside(io, index === 0 ? { head, width } : margin(width), line);
}

/** `key: value`; a list of tables has one line each. */
function linesOf(evidence: Step['evidence']): readonly string[] {
  return Object.entries(evidence).flatMap(([key, value]) => {
    if (value === null) return [];
    if (typeof value !== 'object') return [`${key}: ${value}`];
    const texts = value.map((each) => (typeof each === 'object' ? plain(each) : each));
    if (value.some((each) => typeof each === 'object')) return texts.map((text) => `${key}: ${text}`);
    return [`${key}: ${texts.join(', ') || 'none'}`];
  });
}

/** Object ids as people read them; --json has them whole. */
const shortIds = (text: string) => text.replace(/\b(?:[0-9a-f]{64}|[0-9a-f]{40})\b/g, (id) => id.slice(0, 12));

function plain(table: Readonly<Record<string, string | number | null>>): string {
  return Object.entries(table)
    .flatMap(([key, value]) => (value === null ? [] : [`${key} ${value}`]))
    .join(', ');
}
